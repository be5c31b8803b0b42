"""A deterministic policy network, squashed by tanh."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from qam_torch.networks.mlp import MLP

__all__ = ["DeterministicNetwork"]

LAST_LAYER_VARIANCE = 0.01
"""Initial weight variance of the last layer, relative to Xavier's. It is small so that initial actions are near 0."""


class DeterministicNetwork(nn.Module):
    """tanh of an MLP on s. It is a tanh-Gaussian policy without noise.

    Args:
        members: P.
        observation_dim: O.
        action_dim: D.
        hidden_dims: widths of the hidden layers.
        layer_norm: whether to apply LayerNorm after each hidden activation.

    Source: Tarasov et al. 2023 (ReBRAC), the actor. Its sizes: Li & Levine 2026.
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
        self.trunk = MLP((members,), observation_dim, hidden_dims, None, layer_norm)
        self.mean = MLP((members,), hidden_dims[-1], (), action_dim)

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Initialize the parameters. Member p draws from generators[p]."""
        for part in (self.trunk, self.mean):
            part.initialize(generators)
        with torch.no_grad():
            self.mean.kernels[0].mul_(math.sqrt(LAST_LAYER_VARIANCE))

    def forward(self, observations: Tensor) -> Tensor:
        """Compute actions in (-1, 1): (P, B, O) -> (P, B, D)."""
        return self.mean(self.trunk(observations)).tanh()
