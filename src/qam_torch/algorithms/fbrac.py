"""FBRAC: behavior-regularized actor-critic with a flow.

Source: Wu et al. 2019 (BRAC); Park et al. 2025 and Li & Levine 2026 for the version with a flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qam_torch.algorithms.core.actor_critic import FlowActorCritic
from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.objectives import value_maximization
from qam_torch.types import Batch, Draw, Noise

__all__ = ["FBRAC"]


class FBRAC(FlowActorCritic):
    """One flow that maximizes the critic by back-propagation through all steps, regularized by flow matching.

    Args:
        fbrac_alpha: divisor of the policy's Q loss; > 0, or one per member.
        **flow: see `FlowActorCritic`.

    Source: Park et al. 2025 and Li & Levine 2026, FBRAC.
    """

    flow_name = "f_theta"

    def __init__(self, *, fbrac_alpha: float | Sequence[float] = 1.0, **flow: Any) -> None:
        super().__init__(**flow)
        self.set_member_value("fbrac_alpha", fbrac_alpha)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Noise of the TD target and of flow matching, and the flow's initial noise in the policy loss."""
        return {**super().draws(batch_size), "policy_noise": Draw((batch_size, self.chunk_dim))}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """Critic loss + flow-matching loss - mean Q(s, clip(flow(z))) / fbrac_alpha."""
        actions = self.flow_policy(batch.observations, {"noise": noise["policy_noise"]})
        maximization, metrics = value_maximization(self.network("critic"), batch.observations, actions, "policy")
        weighted = LossTerm(maximization / self.member_value("fbrac_alpha"), metrics, ("f_theta",))
        return [*super().losses(batch, noise), weighted]
