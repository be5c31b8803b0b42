"""A one-step policy and an edit policy, which can be added to any method with a flow.

Each mixin extends the losses of the class with which it is combined: `class QAMF(OneStepMixin, QAM)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qam_torch.algorithms.core.actor_critic import FlowActorCritic
from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.algorithms.core.members import NON_NEGATIVE
from qam_torch.networks import GaussianNetwork, OneStepNetwork
from qam_torch.objectives import distillation_loss, value_maximization
from qam_torch.policies import EditedPolicy, OneStepPolicy
from qam_torch.types import Batch, Draw, Noise, require

__all__ = ["EditMixin", "OneStepMixin"]


class OneStepMixin(FlowActorCritic):
    """Acts with a one-step policy, which is distilled from the flow and maximizes the critic.

    Args:
        fql_alpha: weight of the distillation loss, >= 0, or one per member. With 0 there is no one-step policy, and the
            flow acts.
        **flow: arguments of the class with which it is combined.

    Source: Park et al. 2025 (flow Q-learning).
    """

    def __init__(self, *, fql_alpha: float | Sequence[float] = 300.0, **flow: Any) -> None:
        super().__init__(**flow)
        weights = [fql_alpha] if isinstance(fql_alpha, (int, float)) else fql_alpha
        require("fql_alpha", any(weights) == all(weights), fql_alpha, "all zero (the flow acts) or all positive")
        self.set_member_value("fql_alpha", fql_alpha, NON_NEGATIVE)
        self.has_one_step_policy = any(weights)
        if not self.has_one_step_policy:
            return
        network = OneStepNetwork(self.members, self.observation_dim, self.chunk_dim, **self.actor_network)
        self.add_network("one_step", network)
        self.set_policy(OneStepPolicy(network, self.chunk_dim))

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The draws of the combined class, and the noise that the flow and the one-step policy share."""
        if not self.has_one_step_policy:
            return super().draws(batch_size)
        return {**super().draws(batch_size), "onestep_noise": Draw((batch_size, self.chunk_dim))}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The losses of the combined class + fql_alpha * distillation - mean Q(s, clip(mu(s, z)))."""
        if not self.has_one_step_policy:
            return super().losses(batch, noise)
        z = noise["onestep_noise"]
        actions = self.network("one_step")(batch.observations, z)
        with torch.no_grad():
            flow_actions = self.flow_policy(batch.observations, {"noise": z})
        distillation, distillation_metrics = distillation_loss(actions, flow_actions, "one_step")
        maximization = value_maximization(self.network("critic"), batch.observations, actions.clamp(-1, 1), "one_step")
        return [
            *super().losses(batch, noise),
            LossTerm(self.member_value("fql_alpha") * distillation, distillation_metrics, ("one_step",)),
            LossTerm(*maximization, ("one_step",)),
        ]


class EditMixin(FlowActorCritic):
    """Acts with the flow and an edit policy, which shifts the flow's actions to raise Q, with an entropy term.

    Args:
        edit_scale: largest edit per coordinate, >= 0, or one per member. With 0 the flow acts without edits. If all are
            0 there is no edit policy.
        edit_target_entropy_multiplier: a float, or one per member. The target entropy is
            -edit_target_entropy_multiplier * D.
        **flow: arguments of the class with which it is combined.

    Source: Li & Levine 2026, the edit policy of QAM-E and FEdit.
    """

    def __init__(
        self,
        *,
        edit_scale: float | Sequence[float] = 0.1,
        edit_target_entropy_multiplier: float | Sequence[float] = 0.5,
        **flow: Any,
    ) -> None:
        super().__init__(**flow)
        self.set_member_value("edit_scale", edit_scale, NON_NEGATIVE)
        self.has_edit_policy = edit_scale != 0 if isinstance(edit_scale, (int, float)) else any(edit_scale)
        if not self.has_edit_policy:
            return
        editor = GaussianNetwork(
            self.members, self.observation_dim + self.chunk_dim, self.chunk_dim, **self.actor_network
        )
        self.add_network("edit", editor)
        self.add_temperature("edit", "edit_target_entropy_multiplier", edit_target_entropy_multiplier)
        self.set_policy(EditedPolicy(self.flow_policy, editor, self.edit, self.chunk_dim))

    def edit(self, actions: Tensor, edits: Tensor) -> Tensor:
        """clip(a + edit_scale e, -1, 1): actions and edits (P, B, D), edits in (-1, 1)."""
        return (actions + self.member_value("edit_scale", ndim=3) * edits).clamp(-1, 1)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The draws of the combined class, and the noise of the flow's action and of its edit."""
        if not self.has_edit_policy:
            return super().draws(batch_size)
        draw = Draw((batch_size, self.chunk_dim), stream="edit")
        return {**super().draws(batch_size), "edit_flow_noise": draw, "edit_noise": draw}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The losses of the combined class - mean Q(s, edited action) + entropy term + temperature loss."""
        if not self.has_edit_policy:
            return super().losses(batch, noise)
        with torch.no_grad():
            actions = self.flow_policy(batch.observations, {"noise": noise["edit_flow_noise"]})
        edits = self.network("edit")(batch.observations, actions, noise=noise["edit_noise"])
        edited = self.edit(actions, edits.value)
        terms = [
            LossTerm(*value_maximization(self.network("critic"), batch.observations, edited, "edit"), ("edit",)),
            *self.entropy_terms("edit", edits.log_prob),
        ]
        return [*super().losses(batch, noise), *self._mask_losses(terms)]

    def _mask_losses(self, terms: list[LossTerm]) -> list[LossTerm]:
        """Multiply losses by 0 for members with edit_scale=0, so that they do not add to the joint gradient norm."""
        scale = self.member_value("edit_scale")
        if not isinstance(scale, Tensor):
            return terms
        mask = (scale > 0).to(scale.dtype)
        return [term._replace(loss=mask * term.loss) for term in terms]
