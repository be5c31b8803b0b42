"""IFQL: implicit Q-learning with a flow.

Source: Kostrikov et al. 2022 (IQL); Hansen-Estruch et al. 2023 (IDQL), Park et al. 2025 and Li & Levine 2026 for the
version with a flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qam_torch.algorithms.core.actor_critic import FlowActorCritic
from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.algorithms.core.members import OPEN_UNIT
from qam_torch.networks import ValueNetwork
from qam_torch.objectives import expectile_loss, pessimistic_value
from qam_torch.policies import BestOfN, min_over_critics
from qam_torch.types import Batch, Draw, Noise, Policy

__all__ = ["IFQL"]


class IFQL(FlowActorCritic):
    """Train a behavior flow, and select actions by best-of-N.

    The TD target uses V(s'), which is learned by expectile regression.

    Args:
        kappa: expectile, in (0, 1). A list has one value per member.
        best_of_n: number of candidates per action, >= 1. The candidate with the highest min_k Q is chosen.
        **flow: further arguments of `FlowActorCritic`.

    Source: Park et al. 2025 and Li & Levine 2026, IFQL.
    """

    def __init__(self, *, kappa: float | Sequence[float] = 0.9, best_of_n: int = 32, **flow: Any) -> None:
        super().__init__(best_of_n=best_of_n, **flow)
        self.set_member_value("kappa", kappa, OPEN_UNIT)
        self.add_network("value", ValueNetwork(self.members, self.observation_dim, **self.value_network))

    def best_of(self, policy: Policy) -> Policy:
        """Return a policy that chooses the candidate with the highest min_k Q among N candidates of `policy`."""
        return BestOfN(policy, self.network("critic"), self.best_of_n, score=min_over_critics)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The noise of flow matching. The TD target needs no noise."""
        return {name: draw for name, draw in super().draws(batch_size).items() if not name.startswith("next_")}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The critic loss, the flow-matching loss, and the expectile loss of V(s).

        The expectile loss regresses V(s) onto (mean_k - rho std_k) Q_target(s, a).
        """
        with torch.no_grad():
            q = pessimistic_value(self.target("critic")(batch.observations, batch.actions), self.rho)
        value = expectile_loss(self.network("value")(batch.observations), q, self.member_value("kappa", ndim=2))
        return [*super().losses(batch, noise), LossTerm(*value, ("value",))]

    def next_value(self, batch: Batch, noise: Noise) -> Tensor:
        """Return V(s'): (P, B)."""
        return self.network("value")(batch.next_observations)
