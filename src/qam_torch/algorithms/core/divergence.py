"""Which members have diverged, and when, in runs that stop and in runs that continue without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Divergence"]


class Divergence(nn.Module):
    """A member has diverged once its gradient is infinite or NaN; checked in every update on the device, without host
    synchronization.

    Attributes:
        alive: (P,) bool, not diverged; once false, always false.
        updates: (P,) int64, updates while alive.
        freezes: bool, diverged members stop changing and the others continue; otherwise the run stops.

    The tensors are not part of the algorithm's `state_dict`, which has only networks.
    """

    alive: Tensor
    updates: Tensor

    def __init__(self, members: int) -> None:
        super().__init__()
        self.register_buffer("alive", torch.ones(members, dtype=torch.bool), persistent=False)
        self.register_buffer("updates", torch.zeros(members, dtype=torch.int64), persistent=False)
        self.freezes = False

    def check(self, gradient_norm: Tensor) -> None:
        """Before an update is applied, mark members whose gradient norm (P,) is not finite, and count it."""
        self.alive.logical_and_(gradient_norm.isfinite())
        self.updates.add_(self.alive)

    def alive_like(self, values: Tensor) -> Tensor:
        """`alive`, to be broadcast over values (P, ...)."""
        return self.alive.view(-1, *(1,) * (values.ndim - 1))

    def mark(self, lost: Tensor) -> None:
        """Mark members (P,) bool that diverged in another way."""
        self.alive.logical_and_(lost.logical_not().to(self.alive.device))

    def diverged_at(self) -> list[int | None]:
        """The update at which each member diverged, None for those alive; synchronizes with the host."""
        alive, updates = self.alive.tolist(), self.updates.tolist()
        return [None if going else made + 1 for going, made in zip(alive, updates, strict=True)]

    def saved(self) -> dict[str, Tensor]:
        """Checkpoint state."""
        return {"alive": self.alive, "updates": self.updates}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Load `saved`."""
        self.alive.copy_(saved["alive"])
        self.updates.copy_(saved["updates"])
