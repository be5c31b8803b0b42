"""FAWAC: advantage-weighted actor-critic with a flow.

Source: Nair et al. 2020 (AWAC); Park et al. 2025 and Li & Levine 2026 for the version with a flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qam_torch.algorithms.core.actor_critic import FlowActorCritic
from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.networks import ValueNetwork
from qam_torch.objectives import advantage_weights, value_regression
from qam_torch.types import Batch, Noise

__all__ = ["FAWAC"]


class FAWAC(FlowActorCritic):
    """A flow trained by flow matching with row weights exp(inv_temp * advantage).

    Args:
        inv_temp: scale of the advantage; > 0, or one per member.
        **flow: see `FlowActorCritic`.

    Source: Park et al. 2025 and Li & Levine 2026, FAWAC.
    """

    flow_name = "f_theta"

    def __init__(self, *, inv_temp: float | Sequence[float] = 0.8, **flow: Any) -> None:
        super().__init__(**flow)
        self.set_member_value("inv_temp", inv_temp)
        self.add_network("value", ValueNetwork(self.members, self.observation_dim, **self.value_network))

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """Critic loss + weighted flow-matching loss + mean squared error of V(s) against Q_target(s, a)."""
        with torch.no_grad():
            q = self.target("critic")(batch.observations, batch.actions)
        value = self.network("value")(batch.observations).unsqueeze(-2)
        return [*super().losses(batch, noise), LossTerm(*value_regression(value, q, batch.valid, "value"), ("value",))]

    @torch.no_grad()
    def flow_weights(self, batch: Batch) -> Tensor:
        """valid * min(exp(inv_temp (mean_k Q(s, a) - V(s))), 100)."""
        q = self.network("critic")(batch.observations, batch.actions).mean(-2)
        value = self.network("value")(batch.observations)
        return batch.valid * advantage_weights(q, value, self.member_value("inv_temp", ndim=2))
