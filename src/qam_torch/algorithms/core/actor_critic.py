"""Base classes of all methods: critics trained by TD and, in most methods, a flow trained on the data.

A method subclasses one of these two classes and adds losses and a policy. It extends `losses` and `draws` with
`super()`, so that the classes of `mixins` can be combined with any method.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from qam_torch.algorithms.core.algorithm import Algorithm, LossTerm
from qam_torch.algorithms.core.members import FINITE, NON_NEGATIVE
from qam_torch.networks import CriticEnsemble, Temperature, VelocityField
from qam_torch.objectives import behavior_loss, entropy_loss, pessimistic_value, td_loss, td_target, temperature_loss
from qam_torch.policies import BestOfN, ConditionalVelocity, FlowPolicy
from qam_torch.scopes import scope
from qam_torch.types import Batch, Draw, Noise, Policy, require

__all__ = ["ActorCritic", "FlowActorCritic"]


class ActorCritic(Algorithm):
    """K critics trained by TD. The target uses the pessimistic value of the policy's next action.

    Args:
        rho: how many standard deviations of the ensemble are subtracted in the TD target; >= 0, or one per member.
        num_qs: number of critics in the ensemble, K; >= 1.
        best_of_n: candidates per action, of which the one with the highest Q is used; >= 1.
        actor_hidden_dims: hidden widths of the policy networks.
        value_hidden_dims: hidden widths of the value networks.
        actor_layer_norm: LayerNorm in the policy networks.
        value_layer_norm: LayerNorm in the value networks.

    The other arguments are those of `Algorithm`.

    Source: Li & Levine 2026, the part that all agents of the reference implementation have in common.
    """

    critic_class: ClassVar[Any] = CriticEnsemble
    entropy_multiplier: str

    def __init__(
        self,
        *,
        observation_dim: int,
        action_dim: int,
        seeds: Sequence[int] = (0,),
        horizon_length: int = 5,
        action_chunking: bool = True,
        discount: float | Sequence[float] = 0.99,
        rho: float | Sequence[float] = 0.5,
        num_qs: int = 10,
        best_of_n: int = 1,
        lr: float | Sequence[float] = 3e-4,
        target_update_rate: float | Sequence[float] = 0.005,
        clip_grad: bool = False,
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
        require("num_qs", num_qs >= 1, num_qs, "an integer >= 1")
        self.set_member_value("rho", rho, NON_NEGATIVE)
        self.best_of_n = best_of_n
        self.actor_network: dict[str, Any] = {"hidden_dims": tuple(actor_hidden_dims), "layer_norm": actor_layer_norm}
        self.value_network: dict[str, Any] = {"hidden_dims": tuple(value_hidden_dims), "layer_norm": value_layer_norm}
        critic = self.critic_class(self.members, num_qs, observation_dim, self.chunk_dim, **self.value_network)
        self.add_network("critic", critic, polyak=True)

    @property
    def rho(self) -> float | Tensor:
        """How many standard deviations are subtracted: a float or (P, 1)."""
        return self.member_value("rho", ndim=2)

    def best_of(self, policy: Policy) -> Policy:
        """The policy that returns the candidate with the highest mean_k Q among N samples of another policy."""
        return BestOfN(policy, self.network("critic"), self.best_of_n)

    def set_policy(self, policy: Policy) -> None:
        """Use the best of N candidates of this policy for acting and in the TD target."""
        self.policy = self.best_of(policy)

    def add_temperature(self, name: str, argument: str, multiplier: float | Sequence[float]) -> None:
        """Add a policy's learned temperature. The policy's target entropy is -multiplier * D.

        Args:
            name: name of the policy's network.
            argument: name of the constructor's argument that gives the multiplier, for error messages.
            multiplier: a finite number, or one per member.
        """
        self.set_member_value(argument, multiplier, FINITE)
        self.entropy_argument = argument
        self.add_network(f"{name}_alpha", Temperature(self.members))

    def entropy_terms(self, name: str, log_prob: Tensor) -> list[LossTerm]:
        """The entropy term, which trains the policy `name`, and the loss of its temperature.

        Args:
            name: name of the policy's network.
            log_prob: (P, B), log-probabilities of samples of the policy.
        """
        alpha, target = self.network(f"{name}_alpha")(), -self.member_value(self.entropy_argument) * self.chunk_dim
        return [
            LossTerm(*entropy_loss(alpha, log_prob, name), (name,)),
            LossTerm(*temperature_loss(alpha, log_prob, target, name), (f"{name}_alpha",)),
        ]

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """Critic loss."""
        target = self.critic_target(batch, noise)
        loss = td_loss(self.network("critic"), batch.observations, batch.actions, target, batch.valid)
        return [LossTerm(*loss, ("critic",))]

    def critic_target(self, batch: Batch, noise: Noise) -> Tensor:
        """y = R + gamma^h m V(s'): (P, B), detached."""
        with torch.no_grad():
            return td_target(batch.rewards, batch.masks, self.next_value(batch, noise), self.chunk_discount)

    def next_value(self, batch: Batch, noise: Noise) -> Tensor:
        """V(s') = (mean_k - rho std_k) Q_target(s', a') of the policy's next action a': (P, B)."""
        with scope("acting in the TD target"):
            next_actions = self.next_actions(batch, noise)
        next_q = self.target("critic")(batch.next_observations, next_actions)
        return pessimistic_value(next_q, self.rho)


class FlowActorCritic(ActorCritic):
    """Critics, and a flow trained by flow matching on the data.

    Args:
        flow_steps: evaluations of the flow per sampled action, T; >= 1.
        solver: ODE solver: "euler" with T steps or "midpoint" with T / 2 steps.
        **actor_critic: see `ActorCritic`.

    A subclass sets `flow_name`: "f_beta" if the flow only imitates the data, "f_theta" if the critic trains it too. It
    sets `flow_target` to True if the flow needs a Polyak copy.

    Source: Li & Levine 2026, flow-based agents of the reference implementation.
    """

    flow_name: ClassVar[str] = "f_beta"
    flow_target: ClassVar[bool] = False

    def __init__(self, *, flow_steps: int = 10, solver: str = "euler", **actor_critic: Any) -> None:
        super().__init__(**actor_critic)
        require("flow_steps", flow_steps >= 1, flow_steps, "an integer >= 1")
        self.flow_steps, self.solver = flow_steps, solver
        flow = VelocityField(self.members, self.observation_dim, self.chunk_dim, **self.actor_network)
        self.add_network(self.flow_name, flow, polyak=self.flow_target)
        self.flow_policy = self.policy_of(flow.bind)
        if self.flow_name == "f_beta":
            self.behavior_policy = self.flow_policy
        self.set_policy(self.flow_policy)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Noise of the TD target and of flow matching."""
        x_0, t = Draw((batch_size, self.chunk_dim)), Draw((batch_size, 1), uniform=True)
        return {**super().draws(batch_size), "flow_x0": x_0, "flow_t": t}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """Critic loss + flow-matching loss."""
        flow = self.network(self.flow_name).bind(batch.observations)
        weight = self.flow_weights(batch)
        matching = behavior_loss(flow, batch.actions, noise["flow_x0"], noise["flow_t"], weight)
        return [*super().losses(batch, noise), LossTerm(*matching, (self.flow_name,))]

    def policy_of(self, field: ConditionalVelocity) -> FlowPolicy:
        """The policy that samples a flow with this method's steps and solver."""
        return FlowPolicy(field, self.chunk_dim, self.flow_steps, self.solver)

    def flow_weights(self, batch: Batch) -> Tensor:
        """Row weights in flow matching: (P, B), detached."""
        return batch.valid
