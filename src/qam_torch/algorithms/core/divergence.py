"""Which members have diverged, and when: the same for runs that stop there and for runs that go on without them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Divergence"]


class Divergence(nn.Module):
    """A member has diverged when its gradient was infinite or NaN: judged in every update, on the device, without a
    look from the host.

    Attributes:
        alive: (P,) bool, not diverged; what is false once stays so.
        updates: (P,) int64, updates made while alive.
        freezes: a member that diverges stays as it was, and the other members continue; otherwise the run stops.

    The tensors are not part of the algorithm's `state_dict`, which holds networks alone.
    """

    alive: Tensor
    updates: Tensor

    def __init__(self, members: int) -> None:
        super().__init__()
        self.register_buffer("alive", torch.ones(members, dtype=torch.bool), persistent=False)
        self.register_buffer("updates", torch.zeros(members, dtype=torch.int64), persistent=False)
        self.freezes = False

    def judge(self, gradient_norm: Tensor) -> None:
        """Before an update is applied: it is made by those whose gradient's norm (P,) is finite, now and before."""
        self.alive.logical_and_(gradient_norm.isfinite())
        self.updates.add_(self.alive)

    def alive_like(self, values: Tensor) -> Tensor:
        """`alive`, to be broadcast over values (P, ...)."""
        return self.alive.view(-1, *(1,) * (values.ndim - 1))

    def retire(self, lost: Tensor) -> None:
        """Members (P,) bool that are found to have diverged in another way."""
        self.alive.logical_and_(lost.logical_not().to(self.alive.device))

    def diverged_at(self) -> list[int | None]:
        """The first update that each member did not make soundly, None for those alive; read on the host."""
        alive, updates = self.alive.tolist(), self.updates.tolist()
        return [None if going else made + 1 for going, made in zip(alive, updates, strict=True)]

    def saved(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"alive": self.alive, "updates": self.updates}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """As they were."""
        self.alive.copy_(saved["alive"])
        self.updates.copy_(saved["updates"])
