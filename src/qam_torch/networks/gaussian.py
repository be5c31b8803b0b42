"""A tanh-squashed diagonal Gaussian, and the learned temperature of its entropy term."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qam_torch.networks.mlp import MLP

__all__ = ["GaussianSample", "TanhGaussian", "Temperature"]

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0


class GaussianSample(NamedTuple):
    """A draw of the squashed Gaussian.

    value     (P, B, D) in (-1, 1)
    log_prob  (P, B)     log density of the draw, summed over dimensions
    """

    value: Tensor
    log_prob: Tensor


class TanhGaussian(nn.Module):
    """MLP trunk, linear mean and log-std (clamped to [-20, 2]), tanh-squashed diagonal Gaussian.

    members      int   P
    in_dim       int   features of the input
    action_dim   int   D
    hidden_dims  ints  trunk widths; the activation comes after the last one too

    Source: Haarnoja et al. 2018 (SAC); Li & Levine 2026 for the edit policy.
    """

    def __init__(
        self, members: int, in_dim: int, action_dim: int, hidden_dims: Sequence[int], layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.trunk = MLP((members,), in_dim, hidden_dims, None, layer_norm)
        self.mean = MLP((members,), hidden_dims[-1], (), action_dim)
        self.log_std = MLP((members,), hidden_dims[-1], (), action_dim)

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Draw fresh parameters, member p from generators[p]."""
        for part in (self.trunk, self.mean, self.log_std):
            part.initialize(generators)

    def forward(self, *inputs: Tensor, noise: Tensor) -> GaussianSample:
        """Inputs (P, B, *), concatenated, and standard normal noise (P, B, D) -> a reparametrised draw."""
        features = self.trunk(torch.cat(inputs, dim=-1))
        log_std = self.log_std(features).clamp(LOG_STD_MIN, LOG_STD_MAX)
        raw = torch.addcmul(self.mean(features), log_std.exp(), noise)
        # log N(raw) - log |d tanh / d raw|, the latter in its stable form 2 (log 2 - raw - softplus(-2 raw)).
        normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
        log_det = 2 * (math.log(2.0) - raw - F.softplus(-2 * raw))
        return GaussianSample(raw.tanh(), (normal - log_det).sum(-1))


class Temperature(nn.Module):
    """A learned positive number for each member, exp(log_value), initially 1."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.log_value = nn.Parameter(torch.zeros(members))

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Back to 1; nothing is drawn."""
        with torch.no_grad():
            self.log_value.zero_()

    def forward(self) -> Tensor:
        """-> (P,)."""
        return self.log_value.exp()
