"""Members that have diverged, and are to stay as they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["FrozenMembers"]


class FrozenMembers(nn.Module):
    """Which members have diverged: judged in every update, on the device, without a look from the host.

    alive    (P,) bool    not diverged; what is false once stays so
    updates  (P,) int64   updates made while alive

    Neither is part of the algorithm's `state_dict`, which holds networks alone.
    """

    alive: Tensor
    updates: Tensor

    def __init__(self, members: int) -> None:
        super().__init__()
        self.register_buffer("alive", torch.ones(members, dtype=torch.bool), persistent=False)
        self.register_buffer("updates", torch.zeros(members, dtype=torch.int64), persistent=False)

    def judge(self, gradient_norm: Tensor) -> None:
        """Before an update is applied: it is made by those whose gradient's norm (P,) is finite, now and before."""
        self.alive.logical_and_(gradient_norm.isfinite())
        self.updates.add_(self.alive)

    def retire(self, lost: Tensor) -> None:
        """Members (P,) bool that are found to have diverged in another way."""
        self.alive.logical_and_(lost.logical_not().to(self.alive.device))

    def diverged_at(self) -> list[int | None]:
        """The first update that each member did not make, None for those alive; read on the host."""
        alive, updates = self.alive.tolist(), self.updates.tolist()
        return [None if going else made + 1 for going, made in zip(alive, updates, strict=True)]

    def saved(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"alive": self.alive, "updates": self.updates}

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """As they were; or all alive, if the checkpoint's run would have stopped where a member diverged."""
        saved = checkpoint.get("frozen")
        self.updates.copy_(
            torch.full_like(self.updates, checkpoint["global_step"]) if saved is None else saved["updates"]
        )
        if saved is not None:
            self.alive.copy_(saved["alive"])
