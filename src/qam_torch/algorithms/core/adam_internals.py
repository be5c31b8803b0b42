"""The private parts of torch's Adam that `MemberAdam` depends on.

tests/algorithms/test_adam_internals.py fails when a new version of torch changes one of them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["adam_state", "silence_capturable_warning", "fused_adam_step"]

Tensors = list[Tensor] | tuple[Tensor, ...]


def adam_state(optimizer: torch.optim.Adam, group: dict[str, Any]) -> list[list[Tensor]]:
    """Return the parameters of a group that have gradients, their first moments and their second moments.

    Moments that do not exist yet are created.
    """
    tensors: list[list[Tensor]] = [[], [], []]
    optimizer._init_group(group, tensors[0], [], tensors[1], tensors[2], [], [])
    return tensors


def silence_capturable_warning(optimizer: torch.optim.Adam) -> None:
    """Silence torch's warning about optimizer steps that run outside a CUDA graph."""
    optimizer._warned_capturable_if_run_uncaptured = True


def fused_adam_step(
    parameters: Tensors,
    gradients: Tensors,
    averages: Tensors,
    squares: Tensors,
    steps: Tensors,
    *,
    lr: Any,
    betas: tuple[float, float],
    eps: float,
    skipped: Tensor | None,
) -> None:
    """Apply one step of Adam to several tensors in place.

    Args:
        parameters, gradients, averages, squares: lists of tensors of the same shapes.
        steps: step counts, one per tensor, already incremented for this step.
        lr, betas, eps: Adam's hyperparameters.
        skipped: (1,) float. If it is nonzero, the step is skipped. With None, the step is never skipped.
    """
    torch._fused_adam_(
        parameters,
        gradients,
        averages,
        squares,
        [],
        steps,
        lr=lr,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=0.0,
        eps=eps,
        amsgrad=False,
        maximize=False,
        found_inf=skipped,
    )
