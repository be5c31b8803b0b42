"""Polyak (exponential moving) averages of networks."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["polyak_copy", "polyak_update"]


def polyak_copy(module: nn.Module) -> nn.Module:
    """A copy of the module, with parameters that do not require gradients."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def polyak_update(averages: Sequence[Tensor], parameters: Sequence[Tensor], rate: float | Tensor) -> None:
    """In place, averages <- rate * parameters + (1 - rate) * averages, for all tensors in one call.

    Args:
        averages: tensors (P, ...), updated in place.
        parameters: tensors shaped like `averages`.
        rate: in [0, 1], a float or a tensor () or (P,). A tensor is not copied to the host.
    """
    if isinstance(rate, Tensor):
        weights = [rate.view(-1, *(1,) * (average.ndim - 1)) if rate.ndim else rate for average in averages]
        torch._foreach_lerp_(list(averages), list(parameters), weights)
    else:
        torch._foreach_lerp_(list(averages), list(parameters), rate)
