"""A policy network that maps noise to an action chunk in one step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qam_torch.networks.mlp import MLP

__all__ = ["OneStepNetwork"]


class OneStepNetwork(nn.Module):
    """MLP on [s, z] with noise z: the same network as the velocity field, but without t.

    Args:
        members: P.
        observation_dim: O.
        action_dim: D, width of the flattened chunk.
        hidden_dims: widths of the hidden layers.
        layer_norm: whether to apply LayerNorm after each hidden activation.

    Source: Park et al. 2025 (flow Q-learning), one-step policy. Its use in QAM-F: Li & Levine 2026.
    """

    def __init__(
        self,
        members: int,
        observation_dim: int,
        action_dim: int,
        hidden_dims: Sequence[int],
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.mlp = MLP((members,), observation_dim + action_dim, hidden_dims, action_dim, layer_norm)

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Initialize the parameters. Member p draws from generators[p]."""
        self.mlp.initialize(generators)

    def forward(self, observations: Tensor, noise: Tensor) -> Tensor:
        """Compute action chunks, not clipped, from observations and noise: (P, B, O), (P, B, D) -> (P, B, D)."""
        return self.mlp(torch.cat([observations, noise], dim=-1))
