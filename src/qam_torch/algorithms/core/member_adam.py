"""The optimizer's part of an update, per member: gradient norms, clipping, Adam."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qam_torch.algorithms.core.adam_internals import adam_state, fused_adam_step

__all__ = ["MemberAdam", "member_norms", "scale_members"]


class MemberAdam(torch.optim.Adam):
    """Adam, fused, for parameters (P, ...) whose members may have their own step sizes, or be skipped.

    Its state is that of torch's Adam over the same parameters, so that either continues what the other has begun. The
    count of steps is common to all members: a member that was skipped once must not be updated again.

    Args:
        parameters: each with the leading axis P.
        rates: (P,), step sizes.
        alive: (P,) bool; where it is False, neither the member's parameters nor its moments change. It is read on the
            parameters' device and never on the host. None: all members are updated.
        **adam: further arguments of torch's Adam.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], rates: Sequence[float], alive: Tensor | None = None, **adam: Any
    ) -> None:
        super().__init__(parameters, lr=rates[0], fused=True, **adam)
        self.rates, self.alive = tuple(rates), alive
        self._slices: list[list[tuple[Tensor, ...]]] | None = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As Adam's."""
        super().load_state_dict(state_dict)
        self._slices = None

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every member that is not skipped."""
        (group,) = self.param_groups
        trained = [parameter for parameter in group["params"] if parameter.grad is not None]
        if self._slices is None:
            self._slices = self._sliced(group)
        steps = [self.state[parameter]["step"] for parameter in trained]
        torch._foreach_add_(steps, 1)
        gradients = zip(*(parameter.grad.split(1) for parameter in trained), strict=True)
        skipped = [None] * len(self.rates) if self.alive is None else self.alive.logical_not().float().split(1)
        for p, own in enumerate(gradients):
            parameters, averages, squares = self._slices[p]
            fused_adam_step(
                parameters,
                own,
                averages,
                squares,
                steps,
                lr=self.rates[p],
                betas=group["betas"],
                eps=group["eps"],
                skipped=skipped[p],
            )

    def _sliced(self, group: dict[str, Any]) -> list[list[tuple[Tensor, ...]]]:
        """Each member's parameters and moments, computed once: views of tensors that keep their place."""
        tensors = adam_state(self, group)
        by_member = [zip(*(tensor.detach().split(1) for tensor in kind), strict=True) for kind in tensors]
        return [list(own) for own in zip(*by_member, strict=True)]


def member_norms(gradients: Sequence[Tensor]) -> Tensor:
    """Each member's global L2 norm over all tensors: (P,)."""
    if gradients[0].shape[0] == 1:
        norms = torch.stack(torch._foreach_norm(list(gradients))).unsqueeze(-1)
    else:
        norms = torch.stack(
            [torch.linalg.vector_norm(g.flatten(1) if g.ndim > 1 else g[:, None], dim=1) for g in gradients]
        )
    return torch.linalg.vector_norm(norms, dim=0)


def scale_members(gradients: Sequence[Tensor], scale: Tensor) -> None:
    """In place, each member's gradients times its scale (P,)."""
    if len(scale) == 1:
        torch._foreach_mul_(list(gradients), scale.squeeze())
    else:
        for gradient in gradients:
            gradient.mul_(scale.view(-1, *(1,) * (gradient.ndim - 1)))
