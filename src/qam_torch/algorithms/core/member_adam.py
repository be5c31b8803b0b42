"""The optimizer step of an update, per member: gradient norms, clipping and Adam."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from qam_torch.algorithms.core.adam_internals import adam_state, fused_adam_step
from qam_torch.algorithms.core.divergence import Divergence

__all__ = ["MemberAdam", "load_state_only", "member_norms", "scale_members"]


class MemberAdam(torch.optim.Adam):
    """Fused Adam for parameters (P, ...). Each member has a learning rate, and can be skipped.

    The state has the same form as that of torch's Adam over the same parameters, so that each can load the state of the
    other. All members share the step count. Therefore a member that was skipped once must not be updated again.

    Args:
        parameters: parameters, each with the leading axis P.
        rates: P learning rates, > 0.
        divergence: members whose `divergence.alive` is False are skipped: their parameters and moments do not change.
            `alive` is read on the parameters' device and never on the host. With None, all members are updated.
        **adam: further arguments of torch's Adam.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        rates: Sequence[float],
        divergence: Divergence | None = None,
        **adam: Any,
    ) -> None:
        super().__init__(parameters, lr=rates[0], fused=True, **adam)
        self.rates, self.divergence = tuple(rates), divergence
        self._slices: list[list[tuple[Tensor, ...]]] | None = None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the state as torch's Adam does."""
        super().load_state_dict(state_dict)
        self.clear_slices()

    def clear_slices(self) -> None:
        """Look up parameters and moments again at the next step. Call this method after they move to other memory."""
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
        skipped: Sequence[Tensor | None] = [None] * len(self.rates)
        if self.divergence is not None:
            skipped = self.divergence.alive.logical_not().float().split(1)
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
        """Return views of each member's parameters and moments. They stay valid until the tensors move."""
        tensors = adam_state(self, group)
        by_member = [zip(*(tensor.detach().split(1) for tensor in kind), strict=True) for kind in tensors]
        return [list(own) for own in zip(*by_member, strict=True)]


def load_state_only(optimizer: torch.optim.Optimizer) -> None:
    """Make an optimizer restore only its state from checkpoints. It keeps the learning rate and options of this run."""

    def with_own_options(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> dict[str, Any]:
        pairs = zip(saved["param_groups"], optimizer.param_groups, strict=True)
        return {**saved, "param_groups": [{**own, "params": group["params"]} for group, own in pairs]}

    optimizer.register_load_state_dict_pre_hook(with_own_options)


def member_norms(gradients: Sequence[Tensor]) -> Tensor:
    """Return each member's global L2 norm over all tensors: (P,)."""
    if _one_by_one(gradients):
        members = _by_member(gradients)
        norms = torch.stack(torch._foreach_norm([gradient for own in members for gradient in own]))
        return torch.linalg.vector_norm(norms.view(len(members), -1), dim=1)
    norms = torch.stack(
        [torch.linalg.vector_norm(g.flatten(1) if g.ndim > 1 else g[:, None], dim=1) for g in gradients]
    )
    return torch.linalg.vector_norm(norms, dim=0)


def scale_members(gradients: Sequence[Tensor], scale: Tensor) -> None:
    """Scale each member's gradients in place by `scale` (P,)."""
    if _one_by_one(gradients):
        for factor, own in zip(scale, _by_member(gradients), strict=True):
            torch._foreach_mul_(own, factor)
    else:
        for gradient in gradients:
            gradient.mul_(scale.view(-1, *(1,) * (gradient.ndim - 1)))


def _one_by_one(gradients: Sequence[Tensor]) -> bool:
    """Return whether to loop over members. On a GPU, one call for all tensors of a member is one kernel."""
    return gradients[0].is_cuda or len(gradients[0]) == 1


def _by_member(gradients: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return, for each member, its slice of every tensor."""
    if len(gradients[0]) == 1:
        return [list(gradients)]
    return [list(own) for own in zip(*(gradient.split(1) for gradient in gradients), strict=True)]
