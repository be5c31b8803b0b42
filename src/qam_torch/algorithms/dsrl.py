"""DSRL: reinforcement learning in the latent space of a behavior flow.

Source: Wagenmaker et al. 2025, "Steering your diffusion policy with latent space reinforcement learning"; Li & Levine
2026 for the benchmark setting.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from qam_torch.algorithms.core.actor_critic import FlowActorCritic
from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.networks import CriticEnsemble, GaussianNetwork
from qam_torch.objectives import value_maximization, value_regression
from qam_torch.policies import LatentPolicy
from qam_torch.types import Batch, Draw, Noise

__all__ = ["DSRL"]


class DSRL(FlowActorCritic):
    """Train a latent policy that chooses the initial noise of the flow's Polyak copy.

    The latent policy maximizes a latent critic and entropy. The latent critic is distilled from the critic at standard
    normal latents.

    Args:
        noise_scale: bound on each coordinate of the policy's latent, > 0. A list has one value per member.
        target_entropy_multiplier: the target entropy is -D times this number. A list has one value per member.
        **flow: further arguments of `FlowActorCritic`.

    Source: Wagenmaker et al. 2025, noise-aliased DSRL; Li & Levine 2026, DSRL.
    """

    flow_target = True

    def __init__(
        self,
        *,
        noise_scale: float | Sequence[float] = 1.0,
        target_entropy_multiplier: float | Sequence[float] = 0.5,
        **flow: Any,
    ) -> None:
        super().__init__(**flow)
        self.set_member_value("noise_scale", noise_scale)
        sizes = (self.observation_dim, self.chunk_dim)
        num_qs = self.network("critic").num_qs
        self.add_network("latent_critic", CriticEnsemble(self.members, num_qs, *sizes, **self.value_network))
        self.add_network("latent", GaussianNetwork(self.members, *sizes, **self.actor_network))
        self.add_temperature("latent", "target_entropy_multiplier", target_entropy_multiplier)
        self.steered_flow = self.policy_of(self.target("f_beta").bind)
        self.set_policy(LatentPolicy(self.steered_flow, self.latent, self.chunk_dim))

    def latent(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Sample the flow's initial noise: (P, B, O), (P, B, D) -> (P, B, D) in (-noise_scale, noise_scale)."""
        return self.member_value("noise_scale", ndim=3) * self.network("latent")(observations, noise=noise).value

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The noise of the TD target, flow matching and the latent policy, and the latents for distillation."""
        chunk = Draw((batch_size, self.chunk_dim))
        return {**super().draws(batch_size), "latent_critic_noise": chunk, "latent_noise": chunk}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The losses of the critic, the flow, the latent critic and the latent policy.

        The policy loss is the negative mean latent Q at the policy's latents, with entropy terms.
        """
        observations, latent_critic = batch.observations, self.network("latent_critic")
        z = noise["latent_critic_noise"]
        with torch.no_grad():
            q = self.network("critic")(observations, self.steered_flow(observations, {"noise": z}))
        distilled = value_regression(latent_critic(observations, z), q, None, "latent_critic")
        draw = self.network("latent")(observations, noise=noise["latent_noise"])
        latents = self.member_value("noise_scale", ndim=3) * draw.value
        loss, q_metrics = value_maximization(latent_critic, observations, latents, "latent")
        std = draw.std.detach()
        return [
            *super().losses(batch, noise),
            LossTerm(*distilled, ("latent_critic",)),
            LossTerm(loss, lambda: {**q_metrics(), "latent/std": std.mean((-2, -1))}, ("latent",)),
            *self.entropy_terms("latent", draw.log_prob),
        ]
