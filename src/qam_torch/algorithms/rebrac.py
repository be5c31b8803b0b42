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
    """Train a deterministic policy that maximizes normalized Q and stays near the data's actions.

    Noise is added to the policy's actions. The TD target uses the action of the policy's Polyak copy, also with noise.

    In the original paper, the policy is trained only at every second update. In the published runs of Li & Levine 2026
    and in this library, it is trained at every update (pinned by tests).

    Args:
        alpha_actor: weight of the squared distance to the data's actions, >= 0. A list has one value per member.
        actor_noise: standard deviation of the noise, >= 0. A list has one value per member.
        actor_noise_clip: bound on the noise per coordinate, > 0. A list has one value per member.
        target_update_every: number of updates per update of the target networks, >= 1.
        **actor_critic: further arguments of `ActorCritic`.

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
        # The number of updates since the last target update. It is a buffer, so that a resumed run continues the cycle.
        # It has one entry per member, all equal, because all tensors have the leading axis P.
        self.register_buffer("phase", torch.zeros(self.members))
        actor = DeterministicNetwork(self.members, self.observation_dim, self.chunk_dim, **self.actor_network)
        self.add_network("actor", actor, polyak=True)
        self.set_policy(PerturbedPolicy(actor, self.clipped_noise, self.chunk_dim))
        self.target_policy = self.best_of(PerturbedPolicy(self.target("actor"), self.clipped_noise, self.chunk_dim))

    def clipped_noise(self, noise: Tensor) -> Tensor:
        """Return clip(actor_noise * noise, -actor_noise_clip, actor_noise_clip): (P, B, D) -> (P, B, D)."""
        scaled = self.member_value("actor_noise", ndim=3) * noise
        largest: Any = self.member_value("actor_noise_clip", ndim=3)
        return scaled.clamp(-largest, largest)

    def next_actions(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the action of the policy's Polyak copy at s': (P, B, D), detached."""
        return self.target_policy(batch.next_observations, {"noise": noise["next_noise"]})

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The critic loss, the negative normalized value of pi(s), and alpha_actor times the squared distance.

        The distance is between pi(s) and the data's actions.
        """
        actions = self.network("actor")(batch.observations)
        climb = normalized_value_maximization(self.network("critic"), batch.observations, actions, "actor", self.rho)
        distance, metrics = squared_distance_loss(actions, batch.actions, batch.valid, "actor")
        return [
            *super().losses(batch, noise),
            LossTerm(*climb, ("actor",)),
            LossTerm(self.member_value("alpha_actor") * distance, metrics, ("actor",)),
        ]

    def polyak_rate(self, name: str) -> float | Tensor:
        """Return the Polyak rate at every target_update_every-th update, and 0 otherwise. No host synchronization."""
        due = self.phase == self.target_update_every - 1
        return due.to(self.network_dtype) * super().polyak_rate(name)

    @torch.no_grad()
    def apply_gradients(self) -> Tensor:
        """Apply the gradients, count the update, and return the gradient norms (P,) before clipping."""
        norm = super().apply_gradients()
        self.phase.add_(1).remainder_(self.target_update_every)
        return norm
