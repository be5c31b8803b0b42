"""A policy that adds a bounded edit to the actions of another policy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from qam_torch.types import Draw, Noise, Policy, differentiates

__all__ = ["EditedPolicy"]


class EditedPolicy:
    """Samples an action from the base policy, then adds a sampled edit of at most edit_scale per coordinate.

    Args:
        base: policy whose actions are edited.
        editor: network (observations, actions, noise=) -> sample of edits with `.value` (P, B, D) in (-1, 1).
        edit: function of actions a and edits e that returns clip(a + edit_scale e, -1, 1).
        action_dim: D.

    Source: Li & Levine 2026, QAM-E.
    """

    def __init__(
        self, base: Policy, editor: Callable[..., Any], edit: Callable[[Tensor, Tensor], Tensor], action_dim: int
    ) -> None:
        self.base, self.editor, self.edit, self.action_dim = base, editor, edit, action_dim
        self.differentiates = differentiates(base)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Describe the noise: that of the base policy, and "edit_noise" (B, D)."""
        return {**self.base.draws(batch_size), "edit_noise": Draw((batch_size, self.action_dim), stream="edit")}

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return edited actions: observations (P, B, O) -> actions (P, B, D). The base policy gets no gradient."""
        with torch.no_grad():
            actions = self.base(observations, noise)
        edits = self.editor(observations, actions, noise=noise["edit_noise"])
        return self.edit(actions, edits.value)
