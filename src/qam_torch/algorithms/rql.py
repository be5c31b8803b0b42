"""RQL: Reversal Q-Learning, which treats every step of the flow as an action.

Source: Oberai, Park & Levine 2026, "Reversal Q-Learning", arXiv 2606.17551.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qam_torch.algorithms.core.actor_critic import FlowActorCritic
from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.algorithms.core.members import NON_NEGATIVE, OPEN_UNIT, UNIT_WITHOUT_1
from qam_torch.flows import euler_step, interpolate, reverse_flow, reverse_path
from qam_torch.networks import TimeConditionedCritics
from qam_torch.objectives import chunk_matching_loss, expectile_td_loss, flow_step_value_loss, pessimistic_value
from qam_torch.scopes import scope
from qam_torch.types import WINDOW_RULES, Batch, Draw, Noise, QamError, Velocity, require

__all__ = ["RQL"]


class RQL(FlowActorCritic):
    """Train one flow f_theta, and critics Q(s, x_t, t) of intermediate flow points. Q(s, a, 1) is Q(s, a).

    The reversed flow maps the data's actions to intermediate points. The critics learn the values of these points by
    TD. The next state's value is Q(s', x_0, 0) at fresh noise x_0. The policy loss maximizes the critics after one flow
    step. The flow's Polyak copy acts in evaluation. The flow itself acts in data collection.

    Args:
        bc_alpha: weight of flow matching relative to the critics, >= 0. A list has one value per member.
        kappa: expectile of the critics' loss, in (0, 1). A list has one value per member.
        ema: decay of the flow's Polyak average, in [0, 1). A list has one value per member.
        windows: rule that makes batches from data, one of `types.WINDOW_RULES`.
        **flow: further arguments of `FlowActorCritic`. solver must be "euler", because the critics learn the values of
            Euler steps.

    Raises:
        QamError: solver is not "euler", or windows is not one of the rules.

    Source: Oberai, Park & Levine 2026, with the choices of the authors' code where it differs from the paper.
    """

    flow_name = "f_theta"
    flow_target = True
    critic_class = TimeConditionedCritics

    def __init__(
        self,
        *,
        bc_alpha: float | Sequence[float] = 1.0,
        kappa: float | Sequence[float] = 0.5,
        ema: float | Sequence[float] = 0.999,
        windows: str = "rql",
        **flow: Any,
    ) -> None:
        require("windows", windows in WINDOW_RULES, windows, " or ".join(WINDOW_RULES))
        super().__init__(**flow)
        if self.solver != "euler":
            raise QamError(
                f"algo.solver={self.solver} cannot be used with RQL, whose critics learn values of Euler steps: "
                "give algo.solver=euler"
            )
        self.windows = windows
        self.set_member_value("bc_alpha", bc_alpha, NON_NEGATIVE)
        self.set_member_value("kappa", kappa, OPEN_UNIT)
        self.set_member_value("ema", ema, UNIT_WITHOUT_1)
        self.derive_member_value("ema_rate", "ema", lambda one: 1 - one)
        self.target_rates["f_theta"] = "ema_rate"
        self.collection_policy = self.policy
        self.set_policy(self.policy_of(self.target("f_theta").bind))

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The noise at s', the reversal depth of each row, and the noise and times of flow matching."""
        half = batch_size // 2
        return {
            **super().draws(batch_size),
            "next_noise": Draw((batch_size, self.chunk_dim)),
            "reverse_d_uniform": Draw((batch_size - half,), uniform=True),
            "reverse_d_integers": Draw((half,), integers=self.flow_steps, first=0),
        }

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The expectile TD loss of the critics, bc_alpha times flow matching, and the value loss of one flow step."""
        observations, critic = batch.observations, self.network("critic")
        target = self.critic_target(batch, noise)
        with scope("reversed flow"):
            point = reverse_flow(self.constant_flow(batch), batch.actions, self.depths(noise), self.flow_steps)
        weight = self.step_weights(batch)
        valid = weight[..., -1]
        kappa = self.member_value("kappa", ndim=3)
        learned = expectile_td_loss(critic(observations, *point), target, valid, kappa)
        x_0, t = noise["flow_x0"], noise["flow_t"]
        x_t = interpolate(x_0, batch.actions, t)
        velocity = self.network("f_theta").bind(observations)(x_t, t)
        steps = self.chunk_dim // self.action_dim
        matching, metrics = chunk_matching_loss(velocity, x_0, batch.actions, weight[..., :steps])
        # As in the authors' code, this step starts on the straight paths of flow matching, not at the reversed points.
        climb = flow_step_value_loss(critic(observations, *euler_step(velocity, x_t, t, self.flow_steps)), valid)
        return [
            LossTerm(*learned, ("critic",)),
            LossTerm(self.member_value("bc_alpha") * matching, metrics, ("f_theta",)),
            LossTerm(*climb, ("f_theta",)),
        ]

    def next_value(self, batch: Batch, noise: Noise) -> Tensor:
        """Return (mean_k - rho std_k) Q_target(s', x_0, 0) at fresh noise x_0: (P, B)."""
        next_q = self.target("critic")(batch.next_observations, noise["next_noise"], 0.0)
        return pessimistic_value(next_q, self.rho)

    def constant_flow(self, batch: Batch) -> Velocity:
        """Return f_theta(s, ., .), detached from its parameters."""
        with torch.no_grad():
            return self.network("f_theta").bind(batch.observations)

    def depths(self, noise: Noise) -> Tensor:
        """Return the reversal depth of each row.

        It is uniform on [0, 1) in the first half of the batch, and one of T + 1 nodes in the second half.

        Returns:
            (P, B, 1), in [0, 1].
        """
        return torch.cat([noise["reverse_d_uniform"], noise["reverse_d_integers"] / self.flow_steps], -1).unsqueeze(-1)

    def step_weights(self, batch: Batch) -> Tensor:
        """Return the flow-matching weight per step, (P, B, h). The last weight is also that of the whole window.

        The shape is (P, B, 1) for window rules without a mask per step.
        """
        return batch.valid if batch.valid.ndim > batch.rewards.ndim else batch.valid.unsqueeze(-1)

    @torch.no_grad()
    def traces(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """Return the points xs (T + 1, P, B, D) and times fs of the reversed flow, values and the TD target.

        The values (P, K, B) are those of the critics at the end of the reversed flow.
        """
        batch = batch._replace(actions=batch.actions[..., : self.chunk_dim])
        xs, fs = reverse_path(self.constant_flow(batch), batch.actions, self.depths(noise), self.flow_steps)
        values = self.network("critic")(batch.observations, xs[-1], fs[-1])
        return {"xs": xs, "fs": fs, "values": values, "td_target": self.critic_target(batch, noise)}
