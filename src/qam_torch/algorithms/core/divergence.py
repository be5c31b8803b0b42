"""Track which members have diverged, and at which update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Divergence"]


class Divergence(nn.Module):
    """Track the members whose gradient became infinite or NaN.

    Every update checks the gradients on the device, without host synchronization. The tensors are not part of the
    algorithm's `state_dict`, which contains only networks.

    Attributes:
        alive: (P,) bool, true for members that have not diverged. Once false, it stays false.
        updates: (P,) int64, number of updates before the member diverged.
        freezes: bool. If true, diverged members stop changing and the other members continue. If false, the run stops.
    """

    alive: Tensor
    updates: Tensor

    def __init__(self, members: int) -> None:
        super().__init__()
        self.register_buffer("alive", torch.ones(members, dtype=torch.bool), persistent=False)
        self.register_buffer("updates", torch.zeros(members, dtype=torch.int64), persistent=False)
        self.freezes = False

    def check(self, gradient_norm: Tensor) -> None:
        """Mark members whose gradient norm (P,) is not finite, and count the update for all members still alive.

        It must be called before the update is applied.
        """
        self.alive.logical_and_(gradient_norm.isfinite())
        self.updates.add_(self.alive)

    def alive_like(self, values: Tensor) -> Tensor:
        """Return `alive` with axes of size 1 appended, so that it broadcasts over values (P, ...)."""
        return self.alive.view(-1, *(1,) * (values.ndim - 1))

    def mark(self, lost: Tensor) -> None:
        """Mark further diverged members.

        Args:
            lost: (P,) bool, true for members that diverged.
        """
        self.alive.logical_and_(lost.logical_not().to(self.alive.device))

    def diverged_at(self) -> list[int | None]:
        """Return the update at which each member diverged, or None for members alive. Synchronizes with the host."""
        alive, updates = self.alive.tolist(), self.updates.tolist()
        return [None if going else made + 1 for going, made in zip(alive, updates, strict=True)]

    def saved(self) -> dict[str, Tensor]:
        """Return the state for a checkpoint."""
        return {"alive": self.alive, "updates": self.updates}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Restore a state that `saved` returned."""
        self.alive.copy_(saved["alive"])
        self.updates.copy_(saved["updates"])
