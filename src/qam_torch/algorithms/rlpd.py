"""RLPD: soft actor-critic with prior data.

Source: Haarnoja et al. 2018 (SAC); Ball et al. 2023, "Efficient online reinforcement learning with offline data"; Li &
Levine 2026 for the benchmark setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qam_torch.algorithms.core.actor_critic import ActorCritic
from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.algorithms.core.members import NON_NEGATIVE
from qam_torch.networks import GaussianNetwork
from qam_torch.objectives import likelihood_loss, value_maximization
from qam_torch.policies import GaussianPolicy
from qam_torch.types import Batch, Draw, Noise

__all__ = ["RLPD"]


class RLPD(ActorCritic):
    """A tanh-Gaussian policy that maximizes pessimistic Q and entropy; for online training on mixed batches.

    Args:
        bc_alpha: weight of the data's log-likelihood loss; >= 0, or one per member.
        target_entropy_multiplier: a float, or one per member. The target entropy is -target_entropy_multiplier * D.
        **actor_critic: see `ActorCritic`.

    Source: Ball et al. 2023; Li & Levine 2026, RLPD.
    """

    def __init__(
        self,
        *,
        bc_alpha: float | Sequence[float] = 0.0,
        target_entropy_multiplier: float | Sequence[float] = 0.5,
        **actor_critic: Any,
    ) -> None:
        super().__init__(**actor_critic)
        self.set_member_value("bc_alpha", bc_alpha, NON_NEGATIVE)
        actor = GaussianNetwork(self.members, self.observation_dim, self.chunk_dim, **self.actor_network)
        self.add_network("actor", actor)
        self.add_temperature("actor", "target_entropy_multiplier", target_entropy_multiplier)
        self.set_policy(GaussianPolicy(actor, self.chunk_dim))

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Noise of the TD target and of the policy's loss."""
        return {**super().draws(batch_size), "policy_noise": Draw((batch_size, self.chunk_dim))}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """Critic loss - pessimistic Q of a sample + entropy terms - bc_alpha * log-likelihood of the data."""
        observations, actor = batch.observations, self.network("actor").distribution(batch.observations)
        sample = actor.rsample(noise["policy_noise"])
        maximization = value_maximization(self.network("critic"), observations, sample.value, "actor", self.rho)
        cloning, metrics = likelihood_loss(actor.log_prob(batch.actions), batch.valid, "actor")
        return [
            *super().losses(batch, noise),
            LossTerm(*maximization, ("actor",)),
            *self.entropy_terms("actor", sample.log_prob),
            LossTerm(self.member_value("bc_alpha") * cloning, metrics, ("actor",)),
        ]
