"""A tanh-squashed diagonal Gaussian, and the learned temperature of its entropy term."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from qam_torch.networks.mlp import MLP

__all__ = ["GaussianSample", "TanhGaussian", "GaussianNetwork", "Temperature"]

LOG_STD_MIN, LOG_STD_MAX = -20.0, 2.0
MAX_VALUE = 1 - 1e-6


class GaussianSample(NamedTuple):
    """A sample of the squashed Gaussian.

    Attributes:
        value: (P, B, D) in (-1, 1).
        log_prob: (P, B), log density of the value, summed over dimensions.
        std: (P, B, D), standard deviation before the tanh.
    """

    value: Tensor
    log_prob: Tensor
    std: Tensor


class TanhGaussian(NamedTuple):
    """The distribution of tanh(raw) with raw ~ N(mean, exp(log_std)^2), independent in each dimension.

    Attributes:
        mean: (P, B, D).
        log_std: (P, B, D).
    """

    mean: Tensor
    log_std: Tensor

    def rsample(self, noise: Tensor) -> GaussianSample:
        """Compute a reparameterized sample from standard normal noise (P, B, D)."""
        std = self.log_std.exp()
        raw = torch.addcmul(self.mean, std, noise)
        return GaussianSample(raw.tanh(), self._log_density(raw, noise), std)

    def log_prob(self, value: Tensor) -> Tensor:
        """Compute the log density (P, B) of a value (P, B, D) in [-1, 1].

        The value is clamped to +-MAX_VALUE so that the log density is finite.
        """
        raw = value.clamp(-MAX_VALUE, MAX_VALUE).atanh()
        return self._log_density(raw, (raw - self.mean) * (-self.log_std).exp())

    def _log_density(self, raw: Tensor, standard: Tensor) -> Tensor:
        """Compute log N(raw) - log |d tanh / d raw| with raw = mean + std * standard, summed over D."""
        normal = -0.5 * standard.square() - self.log_std - 0.5 * math.log(2 * math.pi)
        log_det = 2 * (math.log(2.0) - raw - F.softplus(-2 * raw))  # the stable form of log (1 - tanh^2)
        return (normal - log_det).sum(-1)


class GaussianNetwork(nn.Module):
    """A tanh-squashed diagonal Gaussian whose parameters are computed by an MLP.

    An MLP trunk is followed by a linear layer for the mean and a linear layer for the log standard deviation, which is
    clamped to [-20, 2].

    Args:
        members: P.
        in_dim: width of the input.
        action_dim: D.
        hidden_dims: widths of the trunk's layers. The last one also has an activation.
        layer_norm: whether to apply LayerNorm after each hidden activation.

    Source: Haarnoja et al. 2018 (SAC). The edit policy: Li & Levine 2026.
    """

    def __init__(
        self, members: int, in_dim: int, action_dim: int, hidden_dims: Sequence[int], layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.trunk = MLP((members,), in_dim, hidden_dims, None, layer_norm)
        self.mean = MLP((members,), hidden_dims[-1], (), action_dim)
        self.log_std = MLP((members,), hidden_dims[-1], (), action_dim)

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Initialize the parameters. Member p draws from generators[p]."""
        for part in (self.trunk, self.mean, self.log_std):
            part.initialize(generators)

    def distribution(self, *inputs: Tensor) -> TanhGaussian:
        """Return the action distribution for inputs (P, B, *), which are concatenated."""
        features = self.trunk(torch.cat(inputs, dim=-1))
        return TanhGaussian(self.mean(features), self.log_std(features).clamp(LOG_STD_MIN, LOG_STD_MAX))

    def forward(self, *inputs: Tensor, noise: Tensor) -> GaussianSample:
        """Compute a reparameterized sample.

        Args:
            *inputs: (P, B, *) each, concatenated along the last axis.
            noise: (P, B, D), standard normal.
        """
        return self.distribution(*inputs).rsample(noise)


class Temperature(nn.Module):
    """A learned positive temperature exp(log_value) per member, initially 1."""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.log_value = nn.Parameter(torch.zeros(members))

    def initialize(self, generators: Sequence[torch.Generator]) -> None:
        """Reset the temperatures to 1. The generators are not used."""
        with torch.no_grad():
            self.log_value.zero_()

    def forward(self) -> Tensor:
        """Return the temperatures (P,)."""
        return self.log_value.exp()
