"""Policies with Gaussian noise: a tanh-squashed Gaussian policy, and a deterministic policy with added noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from qam_torch.types import Draw, Noise

__all__ = ["PerturbedPolicy", "GaussianPolicy"]


class GaussianPolicy:
    """Samples actions from a tanh-squashed Gaussian.

    Args:
        network: network (observations, noise=) -> sample with `.value` (P, B, D) in (-1, 1).
        action_dim: D.

    Source: Haarnoja et al. 2018 (SAC).
    """

    def __init__(self, network: Callable[..., Any], action_dim: int) -> None:
        self.network, self.action_dim = network, action_dim

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Describe the noise: "noise" (B, D)."""
        return {"noise": Draw((batch_size, self.action_dim))}

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """Sample actions: observations (P, B, O) -> actions (P, B, D)."""
        return self.network(observations, noise=noise["noise"]).value


class PerturbedPolicy:
    """Adds noise to a deterministic policy: clip(pi(s) + perturbation, -1, 1).

    Args:
        network: policy network pi, observations (P, B, O) -> actions (P, B, D).
        perturbation: function that turns standard normal noise (P, B, D) into the added noise (P, B, D).
        action_dim: D.

    Source: Fujimoto et al. 2018 (TD3); Tarasov et al. 2023 (ReBRAC).
    """

    def __init__(
        self, network: Callable[[Tensor], Tensor], perturbation: Callable[[Tensor], Tensor], action_dim: int
    ) -> None:
        self.network, self.perturbation, self.action_dim = network, perturbation, action_dim

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Describe the noise: "noise" (B, D)."""
        return {"noise": Draw((batch_size, self.action_dim))}

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """Compute perturbed actions: observations (P, B, O) -> actions (P, B, D)."""
        return (self.network(observations) + self.perturbation(noise["noise"])).clamp(-1, 1)
