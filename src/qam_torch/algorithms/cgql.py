"""CGQL: critic-guided Q-learning.

The critic's gradient guides a behavior flow during action selection. In two variants, the critic also learns the values
of noisy actions.

Source: Li & Levine 2026, CGQL, CGQL-M (mse) and CGQL-L (linex).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qam_torch.algorithms.core.actor_critic import FlowActorCritic
from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.algorithms.core.members import NON_NEGATIVE
from qam_torch.flows import guidance_velocity, interpolate, value_gradient
from qam_torch.networks import TimeConditionedCritics
from qam_torch.objectives import linex_loss, value_regression
from qam_torch.policies import GuidedField
from qam_torch.types import Batch, Draw, Metrics, Noise

__all__ = ["CGQL", "CGQLMSE", "CGQLLinex"]


class CGQL(FlowActorCritic):
    """Act with the Polyak copy of a behavior flow, guided by the gradient of the online critic.

    The critic is evaluated at noisy actions as if they were clean.

    Args:
        inv_temp: weight of the critic's gradient in the guidance, > 0. A list has one value per member.
        guidance_coef: weight of the guidance relative to the flow, >= 0. A list has one value per member.
        **flow: further arguments of `FlowActorCritic`.

    Source: Li & Levine 2026, CGQL.
    """

    critic_class = TimeConditionedCritics
    flow_target = True

    def __init__(
        self,
        *,
        inv_temp: float | Sequence[float] = 10.0,
        guidance_coef: float | Sequence[float] = 0.1,
        **flow: Any,
    ) -> None:
        super().__init__(**flow)
        self.set_member_value("inv_temp", inv_temp)
        self.set_member_value("guidance_coef", guidance_coef, NON_NEGATIVE)
        field = GuidedField(self.target("f_beta").bind, self.guidance)
        self.set_policy(self.policy_of(field))

    def guidance(self, observations: Tensor, x: Tensor, t: float) -> Tensor:
        """Return guidance_coef times the guidance velocity: (P, B, O), (P, B, D), t in (0, 1] -> (P, B, D)."""
        critic, time = self.network("critic"), self.guidance_time(t)
        gradient = value_gradient(lambda actions: critic(observations, actions, time).mean(-2), x)
        velocity = guidance_velocity(gradient, x, t, self.member_value("inv_temp", ndim=3))
        return self.member_value("guidance_coef", ndim=3) * velocity

    def guidance_time(self, t: float) -> float:
        """The time that the critic receives with x_t: 1, as for clean actions."""
        return 1.0


class CGQLMSE(CGQL):
    """CGQL-M: guide the flow by the critic's value of noisy actions, which is learned with a squared error.

    Args:
        noisy_coef: weight of the squared error relative to the TD loss, > 0. A list has one value per member.
        **cgql: further arguments of `CGQL`.

    Source: Li & Levine 2026, CGQL-M.
    """

    def __init__(self, *, noisy_coef: float | Sequence[float] = 0.1, **cgql: Any) -> None:
        super().__init__(**cgql)
        self.set_member_value("noisy_coef", noisy_coef)

    def guidance_time(self, t: float) -> float:
        """The time that the critic receives with x_t: the flow time t."""
        return t

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The draws of CGQL, and the noise and times of the noisy actions."""
        noisy = {
            "noisy_critic_t": Draw((batch_size, 1), uniform=True),
            "noisy_critic_noise": Draw((batch_size, self.chunk_dim)),
        }
        return {**super().draws(batch_size), **noisy}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The losses of CGQL, and noisy_coef times the critic's loss at noisy actions."""
        t = noise["noisy_critic_t"]
        x_t = interpolate(noise["noisy_critic_noise"], batch.actions, t)
        noisy_q = self.network("critic")(batch.observations, x_t, t)
        with torch.no_grad():
            q = self.target("critic")(batch.observations, batch.actions)
        loss, metrics = self.noisy_loss(noisy_q, q, batch.valid)
        term = LossTerm(self.member_value("noisy_coef") * loss, metrics, ("critic",))
        return [*super().losses(batch, noise), term]

    def noisy_loss(self, noisy_q: Tensor, q: Tensor, valid: Tensor) -> tuple[Tensor, Metrics]:
        """Regress Q(s, x_t, t) onto Q_target(s, a, 1)."""
        return value_regression(noisy_q, q, valid, "noisy_critic")


class CGQLLinex(CGQLMSE):
    """CGQL-L: like CGQL-M, but the critic learns the soft value of noisy actions with the linex loss.

    The arguments are those of `CGQLMSE`.

    Source: Li & Levine 2026, CGQL-L.
    """

    def noisy_loss(self, noisy_q: Tensor, q: Tensor, valid: Tensor) -> tuple[Tensor, Metrics]:
        """Fit Q(s, x_t, t) to the soft value of Q_target(s, a, 1)."""
        return linex_loss(noisy_q, q, valid, self.member_value("inv_temp", ndim=3))
