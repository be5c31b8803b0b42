"""The network of a diffusion policy, which predicts the noise in a noisy action."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qam_torch.networks.mlp import MLP

__all__ = ["NoisePredictor"]

FREQUENCY_STD = 0.2


class NoisePredictor(nn.Module):
    """MLP on [x, s, time features]. The time features are an MLP of learned Fourier features of the diffusion step.

    Both MLPs use the activation Mish.

    Args:
        members: P.
        observation_dim: O.
        action_dim: D.
        hidden_dims: widths of the hidden layers. The time features' MLP has the same widths, with a linear last layer.
        time_dim: number of Fourier features, even int >= 2.
        layer_norm: whether to apply LayerNorm after each hidden activation, except in the time features' MLP.

    Source: Hansen-Estruch et al. 2023 (IDQL), network without residual blocks. Li & Levine 2026, QSM and DAC.
    """

    def __init__(
        self,
        members: int,
        observation_dim: int,
        action_dim: int,
        hidden_dims: Sequence[int],
        time_dim: int,
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(torch.empty(members, 1, time_dim // 2))
        *hidden, features = hidden_dims
        self.time = MLP((members,), time_dim, hidden, features, activation=F.mish)
        inputs = action_dim + observation_dim + features
        self.mlp = MLP((members,), inputs, hidden_dims, action_dim, layer_norm, activation=F.mish)

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Initialize the parameters. Member p draws from generators[p]."""
        with torch.no_grad():
            for member, generator in zip(self.frequencies, generators, strict=True):
                member.normal_(0, FREQUENCY_STD, generator=generator)
        for part in (self.time, self.mlp):
            part.initialize(generators)

    def forward(self, observations: Tensor, x: Tensor, k: float | Tensor) -> Tensor:
        """Predict the noise: (P, B, O), (P, B, D), k -> (P, B, D). The diffusion step k is a number or (P, B, 1)."""
        angles = 2 * math.pi * k * self.frequencies
        features = self.time(torch.cat([angles.cos(), angles.sin()], dim=-1))
        return self.mlp(torch.cat([x, observations, features.expand(*x.shape[:-1], -1)], dim=-1))
