"""QSM and DAC: diffusion policies whose noise predictor follows the critic's gradient.

Source: Psenka et al. 2024, "Learning a diffusion model policy from rewards via Q-score matching"; Fang et al. 2024,
"Diffusion actor-critic"; Li & Levine 2026 for the benchmark setting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from qam_torch.algorithms.core.actor_critic import ActorCritic
from qam_torch.algorithms.core.algorithm import LossTerm
from qam_torch.algorithms.core.members import NON_NEGATIVE
from qam_torch.flows import clean_step, diffuse, posterior_step, value_gradient, vp_alpha_bar
from qam_torch.networks import NoisePredictor
from qam_torch.objectives import denoising_loss, score_ascent_loss, score_matching_loss
from qam_torch.policies import DiffusionPolicy
from qam_torch.types import Batch, Draw, Metrics, Noise, require

__all__ = ["DAC", "QSM", "DiffusionActorCritic"]


class DiffusionActorCritic(ActorCritic):
    """Train a noise predictor that imitates the data and follows the critic's gradient.

    A subclass defines the loss that follows the critic, and sets `denoise_step` to its denoising step.

    Args:
        bc_alpha: weight of the imitation loss, >= 0. A list has one value per member.
        diffusion_steps: number of denoising steps T, >= 1.
        time_dim: number of Fourier features of the diffusion step, an even integer >= 2.
        **actor_critic: further arguments of `ActorCritic`. clip_grad defaults to True.

    Source: Li & Levine 2026, the common part of QSM and DAC.
    """

    denoise_step: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        *,
        bc_alpha: float | Sequence[float] = 1.0,
        diffusion_steps: int = 10,
        time_dim: int = 64,
        clip_grad: bool = True,
        **actor_critic: Any,
    ) -> None:
        super().__init__(clip_grad=clip_grad, **actor_critic)
        require("diffusion_steps", diffusion_steps >= 1, diffusion_steps, "an integer >= 1")
        require("time_dim", time_dim >= 2 and time_dim % 2 == 0, time_dim, "an even integer >= 2")
        self.set_member_value("bc_alpha", bc_alpha, NON_NEGATIVE)
        self.diffusion_steps = diffusion_steps
        actor = NoisePredictor(
            self.members, self.observation_dim, self.chunk_dim, time_dim=time_dim, **self.actor_network
        )
        self.add_network("actor", actor)
        self.set_policy(DiffusionPolicy(actor, self.chunk_dim, diffusion_steps, type(self).denoise_step))

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """The noise of the TD target, and the noise and diffusion steps for the data's actions."""
        noisy = {
            "diffusion_step": Draw((batch_size, 1), integers=self.diffusion_steps),
            "diffusion_noise": Draw((batch_size, self.chunk_dim)),
        }
        return {**super().draws(batch_size), **noisy}

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        """The critic loss, bc_alpha times the denoising loss, and the loss that follows the target critic."""
        observations, eps, k = batch.observations, noise["diffusion_noise"], noise["diffusion_step"]
        alpha_bar = vp_alpha_bar(k, self.diffusion_steps)
        x = diffuse(batch.actions, eps, alpha_bar)
        with torch.no_grad():
            gradient = value_gradient(lambda actions: self.target("critic")(observations, actions).mean(-2), x)
        predicted = self.network("actor")(observations, x, k)
        imitation, metrics = denoising_loss(predicted, eps, batch.valid, "actor")
        return [
            *super().losses(batch, noise),
            LossTerm(self.member_value("bc_alpha") * imitation, metrics, ("actor",)),
            LossTerm(*self.score_loss(predicted, gradient, (1 - alpha_bar).sqrt(), batch.valid), ("actor",)),
        ]

    def score_loss(
        self, predicted: Tensor, gradient: Tensor, noise_level: Tensor, valid: Tensor
    ) -> tuple[Tensor, Metrics]:
        """Compute the loss that follows the critic.

        Args:
            predicted: (P, B, D), predicted noise.
            gradient: (P, B, D), gradient of the target critic at the noisy actions.
            noise_level: (P, B, 1), sqrt(1 - alpha_bar).
            valid: (P, B), 0 for invalid rows.

        Returns:
            Loss (P,), metrics.
        """
        raise NotImplementedError


class QSM(DiffusionActorCritic):
    """Q-score matching: regress the predicted noise onto - inv_temp dQ/dx.

    Args:
        inv_temp: weight of the critic's gradient, > 0. A list has one value per member.
        **diffusion: further arguments of `DiffusionActorCritic`.

    Source: Psenka et al. 2024; Li & Levine 2026, QSM.
    """

    denoise_step = staticmethod(clean_step)

    def __init__(self, *, inv_temp: float | Sequence[float] = 1.0, **diffusion: Any) -> None:
        super().__init__(**diffusion)
        self.set_member_value("inv_temp", inv_temp)

    def score_loss(
        self, predicted: Tensor, gradient: Tensor, noise_level: Tensor, valid: Tensor
    ) -> tuple[Tensor, Metrics]:
        """Regress the predicted noise onto the scaled gradient, see `objectives.score_matching_loss`."""
        return score_matching_loss(predicted, gradient, self.member_value("inv_temp", ndim=3), valid, "actor")


class DAC(DiffusionActorCritic):
    """Diffusion actor-critic: train the predicted noise to oppose the critic's gradient, scaled by the noise level.

    The arguments are those of `DiffusionActorCritic`.

    Source: Fang et al. 2024; Li & Levine 2026, DAC.
    """

    denoise_step = staticmethod(posterior_step)

    def score_loss(
        self, predicted: Tensor, gradient: Tensor, noise_level: Tensor, valid: Tensor
    ) -> tuple[Tensor, Metrics]:
        """Minimize the inner product of predicted noise and gradient, see `objectives.score_ascent_loss`."""
        return score_ascent_loss(predicted, gradient, noise_level, valid, "actor")
