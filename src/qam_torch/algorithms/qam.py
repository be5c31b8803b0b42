"""Q-learning with adjoint matching: QAM, and its variants QAM-F and QAM-E.

Source: Li & Levine 2026, "Q-learning with Adjoint Matching", arXiv 2601.14234.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qam_torch.algorithms.base import Algorithm, LossTerm
from qam_torch.networks import CriticEnsemble, OneStepNetwork, TanhGaussian, Temperature, VelocityField
from qam_torch.objectives import (
    AdjointTargets,
    adjoint_matching,
    behavior_loss,
    distillation_loss,
    entropy_loss,
    matching_targets,
    pessimistic_value,
    td_loss,
    td_target,
    temperature_loss,
    value_maximization,
)
from qam_torch.policies import BestOfN, EditedPolicy, FlowPolicy, OneStepPolicy, sum_of_fields
from qam_torch.types import Batch, Draw, Noise, Policy, require

__all__ = ["QAM", "QAME", "QAMF"]


class QAM(Algorithm):
    """A critic by TD, a behaviour flow f_beta by flow matching, a policy flow f_theta by adjoint matching.

    inv_temp            float >= 0     weight of the critic against the behaviour prior; 0 acts with f_beta alone; a
                                       list gives one a member
    rho                 float >= 0     ensemble standard deviations taken off the TD target's value
    num_qs              int >= 1       critics in the ensemble, K
    flow_steps          int >= 1       solver steps, T
    best_of_n           int >= 1       candidates per action, the critic's favourite is taken
    clip_adj            bool           zero the critic's gradient outside the action box
    use_target_grad     bool           take it from the target critic
    target_actor        bool           use f_beta's Polyak copy as the base flow
    residual            bool           f_theta is a correction on top of f_beta
    actor_hidden_dims, value_hidden_dims, actor_layer_norm, value_layer_norm   the networks
    other arguments     see `Algorithm`

    Source: Li & Levine 2026, algorithm QAM.
    """

    def __init__(
        self,
        *,
        observation_dim: int,
        action_dim: int,
        seeds: Sequence[int] = (0,),
        horizon_length: int = 5,
        action_chunking: bool = True,
        discount: float = 0.99,
        inv_temp: float | Sequence[float] = 0.3,
        rho: float = 0.5,
        num_qs: int = 10,
        flow_steps: int = 10,
        best_of_n: int = 1,
        lr: float = 3e-4,
        target_update_rate: float = 0.005,
        clip_grad: bool = True,
        clip_adj: bool = True,
        use_target_grad: bool = True,
        target_actor: bool = True,
        residual: bool = False,
        actor_hidden_dims: Sequence[int] = (512, 512, 512, 512),
        value_hidden_dims: Sequence[int] = (512, 512, 512, 512),
        actor_layer_norm: bool = False,
        value_layer_norm: bool = True,
    ) -> None:
        super().__init__(
            observation_dim=observation_dim,
            action_dim=action_dim,
            seeds=seeds,
            horizon_length=horizon_length,
            action_chunking=action_chunking,
            discount=discount,
            lr=lr,
            target_update_rate=target_update_rate,
            clip_grad=clip_grad,
        )
        temperatures = [inv_temp] if isinstance(inv_temp, (int, float)) else inv_temp
        require("inv_temp", any(temperatures) == all(temperatures), inv_temp, "all zero (f_beta acts) or all positive")
        require("rho", rho >= 0, rho, "a number >= 0")
        require("num_qs", num_qs >= 1, num_qs, "an integer >= 1")
        require("flow_steps", flow_steps >= 1, flow_steps, "an integer >= 1")
        self.set_member_value("inv_temp", inv_temp, positive=False)
        self.rho, self.flow_steps, self.best_of_n = rho, flow_steps, best_of_n
        self.clip_adj, self.use_target_grad = clip_adj, use_target_grad
        self.target_actor, self.residual = target_actor, residual
        self.actor_network: dict[str, Any] = {"hidden_dims": tuple(actor_hidden_dims), "layer_norm": actor_layer_norm}
        sizes = (self.members, observation_dim, self.chunk_dim)
        critic = CriticEnsemble(
            self.members, num_qs, observation_dim, self.chunk_dim, tuple(value_hidden_dims), value_layer_norm
        )
        self.add_network("critic", critic, polyak=True)
        self.add_network("f_beta", VelocityField(*sizes, **self.actor_network), polyak=True)
        self.add_network("f_theta", VelocityField(*sizes, **self.actor_network))
        f_beta, f_theta = self.network("f_beta").bind, self.network("f_theta").bind
        fine_tuned = sum_of_fields(f_beta, f_theta) if residual else f_theta
        self.behavior_policy = FlowPolicy(f_beta, self.chunk_dim, flow_steps)
        self.flow_policy = FlowPolicy(fine_tuned, self.chunk_dim, flow_steps)
        self.act_with(self.flow_policy if any(temperatures) else self.behavior_policy)

    def act_with(self, policy: Policy) -> None:
        """Act, in the TD target too, with the best of N candidates of this policy."""
        self.policy = BestOfN(policy, self.network("critic"), self.best_of_n)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Noise of the TD target, of flow matching and of the memoryless SDE."""
        chunk = (batch_size, self.chunk_dim)
        return {
            **super().draws(batch_size),
            "flow_x0": Draw(chunk),
            "flow_t": Draw((batch_size, 1), uniform=True),
            "sde_x0": Draw(chunk),
            "sde_noise": Draw((self.flow_steps - 1, *chunk)),
        }

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """Critic loss + flow-matching loss of f_beta + adjoint-matching loss of f_theta."""
        target = self.critic_target(batch, noise)
        critic = td_loss(self.network("critic"), batch.observations, batch.actions, target, batch.valid)
        f_beta = self.network("f_beta").bind(batch.observations)
        behavior = behavior_loss(f_beta, batch.actions, noise["flow_x0"], noise["flow_t"], batch.valid)
        matching = adjoint_matching(self.matching_targets(batch, noise))
        return [LossTerm(*critic, ("critic",)), LossTerm(*behavior, ("f_beta",)), LossTerm(*matching, ("f_theta",))]

    def critic_target(self, batch: Batch, noise: Noise) -> Tensor:
        """y = R + gamma^h m (mean_k - rho std_k) Q_target(s', a'): (P, B), a constant."""
        with torch.no_grad():
            next_q = self.target("critic")(batch.next_observations, self.next_actions(batch, noise))
            return td_target(batch.rewards, batch.masks, pessimistic_value(next_q, self.rho), self.chunk_discount)

    def matching_targets(self, batch: Batch, noise: Noise) -> AdjointTargets:
        """Paths of the fine-tuned flow and the lean adjoints along them, see `objectives.matching_targets`."""
        observations = batch.observations
        critic = self.target("critic") if self.use_target_grad else self.network("critic")
        with torch.no_grad():
            f_beta = (self.target("f_beta") if self.target_actor else self.network("f_beta")).bind(observations)
        return matching_targets(
            self.network("f_theta").bind(observations),
            f_beta,
            lambda actions: critic(observations, actions).mean(-2),
            noise["sde_x0"],
            noise["sde_noise"].transpose(0, 1),  # a draw leads with P, a path with time
            self.flow_steps,
            self.member_value("inv_temp", ndim=3),
            residual=self.residual,
            clip_adj=self.clip_adj,
        )

    def traces(self, batch: Batch, noise: Noise) -> dict[str, Tensor]:
        """xs and lean_adjoints (T, P, B, D) and their times ts (T, P, B, 1)."""
        targets = self.matching_targets(batch._replace(actions=batch.actions[..., : self.chunk_dim]), noise)
        xs = targets.xs
        times = torch.arange(len(xs), dtype=xs.dtype, device=xs.device) / len(xs)
        ts = times.view(-1, 1, 1, 1).expand(*xs.shape[:-1], 1)
        return {"xs": xs, "lean_adjoints": targets.lean_adjoints, "ts": ts}


class QAMF(QAM):
    """QAM-F: a one-step policy distilled from f_theta while it climbs the critic; it is the one that acts.

    fql_alpha        float > 0, or one a member   weight of the distillation against the critic
    other arguments  see `QAM`

    Source: Li & Levine 2026, QAM-F.
    """

    def __init__(self, *, fql_alpha: float | Sequence[float] = 300.0, **qam: Any) -> None:
        super().__init__(**qam)
        self.set_member_value("fql_alpha", fql_alpha)
        network = OneStepNetwork(self.members, self.observation_dim, self.chunk_dim, **self.actor_network)
        self.add_network("one_step", network)
        self.act_with(OneStepPolicy(network, self.chunk_dim))

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """QAM's, and the noise shared by the flow and the one-step policy."""
        return {**super().draws(batch_size), "onestep_noise": Draw((batch_size, self.chunk_dim))}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """QAM's, then fql_alpha * distillation - mean Q(s, clip(mu(s, z)))."""
        z = noise["onestep_noise"]
        actions = self.network("one_step")(batch.observations, z)
        with torch.no_grad():
            flow_actions = self.flow_policy(batch.observations, {"noise": z})
        distillation, distillation_metrics = distillation_loss(actions, flow_actions, "one_step")
        climb = value_maximization(self.network("critic"), batch.observations, actions.clamp(-1, 1), "one_step")
        return [
            *super().losses(batch, noise),
            LossTerm(self.member_value("fql_alpha") * distillation, distillation_metrics, ("one_step",)),
            LossTerm(*climb, ("one_step",)),
        ]


class QAME(QAM):
    """QAM-E: an edit policy moves f_theta's actions within a small box, up the critic, with entropy regularisation.

    edit_scale                         float > 0, or one a member   largest edit of a coordinate
    edit_target_entropy_multiplier     float                        target entropy is minus this times D
    other arguments                    see `QAM`

    Source: Li & Levine 2026, QAM-E.
    """

    def __init__(
        self,
        *,
        edit_scale: float | Sequence[float] = 0.1,
        edit_target_entropy_multiplier: float = 0.5,
        **qam: Any,
    ) -> None:
        super().__init__(**qam)
        self.set_member_value("edit_scale", edit_scale)
        self.target_entropy = -edit_target_entropy_multiplier * self.chunk_dim
        editor = TanhGaussian(self.members, self.observation_dim + self.chunk_dim, self.chunk_dim, **self.actor_network)
        self.add_network("edit", editor)
        self.add_network("edit_alpha", Temperature(self.members))
        self.act_with(EditedPolicy(self.flow_policy, editor, self.edit, self.chunk_dim))

    def edit(self, actions: Tensor, edits: Tensor) -> Tensor:
        """clip(a + edit_scale e, -1, 1): actions and edits (P, B, D), edits in (-1, 1)."""
        return (actions + self.member_value("edit_scale", ndim=3) * edits).clamp(-1, 1)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """QAM's, and the noise of the flow's action and of its edit."""
        chunk = (batch_size, self.chunk_dim)
        return {**super().draws(batch_size), "edit_flow_noise": Draw(chunk), "edit_noise": Draw(chunk)}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """QAM's, then - mean Q(s, edited action), the entropy term, and the temperature's loss."""
        with torch.no_grad():
            actions = self.flow_policy(batch.observations, {"noise": noise["edit_flow_noise"]})
        edits = self.network("edit")(batch.observations, actions, noise=noise["edit_noise"])
        edited = self.edit(actions, edits.value)
        alpha = self.network("edit_alpha")()
        return [
            *super().losses(batch, noise),
            LossTerm(*value_maximization(self.network("critic"), batch.observations, edited, "edit"), ("edit",)),
            LossTerm(*entropy_loss(alpha, edits.log_prob, "edit"), ("edit",)),
            LossTerm(*temperature_loss(alpha, edits.log_prob, self.target_entropy, "edit"), ("edit_alpha",)),
        ]
