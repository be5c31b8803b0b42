"""ReBRAC: TD3 with behavior cloning, revisited.

Source: Tarasov et al. 2023, "Revisiting the minimalist approach to offline reinforcement learning"; Li & Levine 2026
for the benchmark setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qam_torch.algorithms.core.actor_critic import ActorCritic
from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.algorithms.core.members import NON_NEGATIVE
from qam_torch.networks import DeterministicNetwork
from qam_torch.objectives import normalized_value_maximization, squared_distance_loss
from qam_torch.policies import PerturbedPolicy
from qam_torch.types import Batch, Noise, require

__all__ = ["ReBRAC"]


class ReBRAC(ActorCritic):
    """A deterministic policy that maximizes normalized Q and stays near the data's actions.

    It acts with added noise. The TD target uses the action of its Polyak copy, also with noise.

    Args:
        alpha_actor: weight of the squared distance to the data's actions; >= 0, or one per member.
        actor_noise: standard deviation of the noise; >= 0, or one per member.
        actor_noise_clip: noise bound per coordinate; > 0, or one per member.
        target_update_every: updates per update of the target networks; >= 1.
        **actor_critic: see `ActorCritic`.

    In the original paper the policy, too, is trained only at every second update. In the published runs, and here, it
    is trained at every update (pinned by tests).

    Source: Tarasov et al. 2023; Li & Levine 2026.
    """

    phase: Tensor

    def __init__(
        self,
        *,
        alpha_actor: float | Sequence[float] = 0.01,
        actor_noise: float | Sequence[float] = 0.2,
        actor_noise_clip: float | Sequence[float] = 0.5,
        target_update_every: int = 2,
        **actor_critic: Any,
    ) -> None:
        super().__init__(**actor_critic)
        require("target_update_every", target_update_every >= 1, target_update_every, "an integer >= 1")
        self.set_member_value("alpha_actor", alpha_actor, NON_NEGATIVE)
        self.set_member_value("actor_noise", actor_noise, NON_NEGATIVE)
        self.set_member_value("actor_noise_clip", actor_noise_clip)
        self.target_update_every = target_update_every
        # Updates since the last target update. A buffer, so that a resumed run continues the cycle; one per member, all
        # equal, because all tensors have the leading axis P.
        self.register_buffer("phase", torch.zeros(self.members))
        actor = DeterministicNetwork(self.members, self.observation_dim, self.chunk_dim, **self.actor_network)
        self.add_network("actor", actor, polyak=True)
        self.set_policy(PerturbedPolicy(actor, self.clipped_noise, self.chunk_dim))
        self.target_policy = self.best_of(PerturbedPolicy(self.target("actor"), self.clipped_noise, self.chunk_dim))

    def clipped_noise(self, noise: Tensor) -> Tensor:
        """clip(actor_noise * noise, -actor_noise_clip, actor_noise_clip): (P, B, D) -> (P, B, D)."""
        scaled = self.member_value("actor_noise", ndim=3) * noise
        largest: Any = self.member_value("actor_noise_clip", ndim=3)
        return scaled.clamp(-largest, largest)

    def next_actions(self, batch: Batch, noise: Noise) -> Tensor:
        """The Polyak copy's action at s': (P, B, D), a constant."""
        return self.target_policy(batch.next_observations, {"noise": noise["next_noise"]})

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """Critic loss - normalized value of pi(s) + alpha_actor * squared distance to the data's actions."""
        actions = self.network("actor")(batch.observations)
        climb = normalized_value_maximization(self.network("critic"), batch.observations, actions, "actor", self.rho)
        distance, metrics = squared_distance_loss(actions, batch.actions, batch.valid, "actor")
        return [
            *super().losses(batch, noise),
            LossTerm(*climb, ("actor",)),
            LossTerm(self.member_value("alpha_actor") * distance, metrics, ("actor",)),
        ]

    def polyak_rate(self, name: str) -> float | Tensor:
        """Rate at every target_update_every-th update, 0 otherwise; no host synchronization."""
        due = self.phase == self.target_update_every - 1
        return due.to(self.network_dtype) * super().polyak_rate(name)

    @torch.no_grad()
    def apply_gradients(self) -> Tensor:
        """Apply the gradients; count the update."""
        norm = super().apply_gradients()
        self.phase.add_(1).remainder_(self.target_update_every)
        return norm
