"""Select actions with a network that maps noise to an action chunk in one step."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from qam_torch.types import Draw, Noise

__all__ = ["OneStepPolicy"]


class OneStepPolicy:
    """Computes actions clip(mu(s, z), -1, 1) from noise z.

    Args:
        network: network mu, observations (P, B, O) and noise (P, B, D) -> actions (P, B, D).
        action_dim: D.

    Source: Park et al. 2025 (flow Q-learning); Li & Levine 2026 for QAM-F.
    """

    def __init__(self, network: Callable[[Tensor, Tensor], Tensor], action_dim: int) -> None:
        self.network, self.action_dim = network, action_dim

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Describe the noise z: "noise" (B, D)."""
        return {"noise": Draw((batch_size, self.action_dim))}

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """Compute actions: observations (P, B, O) -> actions (P, B, D)."""
        return self.network(observations, noise["noise"]).clamp(-1, 1)
