"""A policy that chooses the initial noise of a flow."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from qam_torch.types import Draw, Noise, Policy, differentiates

__all__ = ["LatentPolicy"]


class LatentPolicy:
    """Samples the flow's initial noise from a latent policy.

    Args:
        flow: policy that maps `noise` to an action.
        latent: observations (P, B, O), standard normal noise (P, B, D) -> initial noise (P, B, D).
        action_dim: D.

    Source: Wagenmaker et al. 2025 (DSRL); Li & Levine 2026.
    """

    def __init__(self, flow: Policy, latent: Callable[[Tensor, Tensor], Tensor], action_dim: int) -> None:
        self.flow, self.latent, self.action_dim = flow, latent, action_dim
        self.differentiates = differentiates(flow)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """latent_noise (B, D)."""
        return {"latent_noise": Draw((batch_size, self.action_dim))}

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """(P, B, O) -> (P, B, D)."""
        return self.flow(observations, {"noise": self.latent(observations, noise["latent_noise"])})
