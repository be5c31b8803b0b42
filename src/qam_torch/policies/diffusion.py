"""A policy that samples actions by iterative denoising."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from qam_torch.flows import sample_diffusion
from qam_torch.types import Draw, Noise

__all__ = ["DiffusionPolicy"]


class DiffusionPolicy:
    """A chain of T denoising steps, clipped to [-1, 1] at the end.

    Args:
        network: observations (P, B, O), x (P, B, D), step number k -> predicted noise (P, B, D).
        action_dim: D.
        diffusion_steps: T; >= 1.
        denoise_step: the denoising step, see `flows.sample_diffusion`.

    Source: Ho et al. 2020 (DDPM); Li & Levine 2026, QSM and DAC.
    """

    def __init__(
        self,
        network: Callable[..., Tensor],
        action_dim: int,
        diffusion_steps: int,
        denoise_step: Callable[..., Tensor],
    ) -> None:
        self.network, self.action_dim = network, action_dim
        self.diffusion_steps, self.denoise_step = diffusion_steps, denoise_step

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Initial noise (B, D), and ddpm_noise (T - 1, B, D) for the steps."""
        chunk = (batch_size, self.action_dim)
        return {"noise": Draw(chunk), "ddpm_noise": Draw((self.diffusion_steps - 1, *chunk))}

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """(P, B, O) -> (P, B, D)."""
        steps_noise = noise["ddpm_noise"].transpose(0, 1)  # draws are P-first, paths time-first
        actions = sample_diffusion(
            lambda x, k: self.network(observations, x, k),
            noise["noise"],
            steps_noise,
            self.diffusion_steps,
            self.denoise_step,
        )
        return actions.clamp(-1, 1)
