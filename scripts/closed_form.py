"""Base flows with a closed-form velocity, critics, and exact draws of the tilted density p_beta exp(inv_temp Q).

Used by `tilted_density.py` and by the tests of the mathematics.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Value = Callable[[Tensor], Tensor]
Sampler = Callable[[int, torch.Generator], Tensor]


class Gaussian:
    """N(mean, covariance), and the flow that carries N(0, I) to it along straight paths."""

    def __init__(self, mean: Tensor, covariance: Tensor) -> None:
        self.mean, self.covariance = mean, covariance
        self.identity = torch.eye(len(mean), dtype=mean.dtype)

    def covariance_at(self, t: float | Tensor) -> Tensor:
        """Covariance of X_t = t X_1 + (1 - t) X_0 with X_0 and X_1 independent."""
        return t**2 * self.covariance + (1 - t) ** 2 * self.identity

    def velocity(self, x: Tensor, t: float | Tensor) -> Tensor:
        """E[X_1 - X_0 | X_t = x] = m + (t S - (1 - t) I) C_t^-1 (x - t m)."""
        gain = (t * self.covariance - (1 - t) * self.identity) @ torch.linalg.inv(self.covariance_at(t))
        return self.mean + (x - t * self.mean) @ gain.mT

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws of X_1."""
        noise = torch.randn(n, len(self.mean), generator=generator, dtype=self.mean.dtype)
        return self.mean + noise @ torch.linalg.cholesky(self.covariance).mT


class Mixture:
    """Equal mixture of N(mean_k, std^2 I), and the flow that carries N(0, I) to it along straight paths."""

    def __init__(self, means: Tensor, std: float) -> None:
        self.means, self.std = means, std

    def velocity(self, x: Tensor, t: float | Tensor) -> Tensor:
        """E[X_1 - X_0 | X_t = x]: each mode's Gaussian formula, averaged by the mode's posterior probability."""
        variance = (t * self.std) ** 2 + (1 - t) ** 2
        log_posterior = (t * (x @ self.means.mT) - 0.5 * t**2 * self.means.square().sum(-1)) / variance
        mean = log_posterior.softmax(-1) @ self.means
        return mean + (t * self.std**2 - (1 - t)) / variance * (x - t * mean)

    def log_density(self, x: Tensor) -> Tensor:
        """Logarithm of the density of X_1, up to a constant."""
        distance = (x.unsqueeze(-2) - self.means).square().sum(-1)
        return (-0.5 * distance / self.std**2).logsumexp(-1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws of X_1."""
        mode = torch.randint(len(self.means), (n,), generator=generator)
        noise = torch.randn(n, self.means.shape[-1], generator=generator, dtype=self.means.dtype)
        return self.means[mode] + self.std * noise


class Quadratic:
    """Q(x) = -(x - peak)^T H (x - peak) / 2."""

    def __init__(self, peak: Tensor, curvature: Tensor) -> None:
        self.peak, self.curvature = peak, curvature

    def __call__(self, x: Tensor) -> Tensor:
        offset = x - self.peak
        return -0.5 * (offset * (offset @ self.curvature)).sum(-1)

    def tilt(self, base: Gaussian, inv_temp: float) -> Gaussian:
        """The density N(m, S) exp(inv_temp Q), again a Gaussian: precisions add."""
        precision = torch.linalg.inv(base.covariance) + inv_temp * self.curvature
        covariance = torch.linalg.inv(precision)
        pull = torch.linalg.solve(base.covariance, base.mean) + inv_temp * self.curvature @ self.peak
        return Gaussian(covariance @ pull, covariance)


class Bumps:
    """Q(x) = sum_k height_k exp(-|x - center_k|^2 / (2 width_k^2))."""

    def __init__(self, centers: Tensor, heights: Tensor, widths: Tensor) -> None:
        self.centers, self.heights, self.widths = centers, heights, widths

    def __call__(self, x: Tensor) -> Tensor:
        distance = (x.unsqueeze(-2) - self.centers).square().sum(-1)
        return (-0.5 * distance / self.widths**2).exp() @ self.heights

    def upper_bound(self, extent: float = 4.0, spacing: float = 0.02) -> float:
        """Largest value on a grid over [-extent, extent]^2, plus what a smooth function can gain between its points."""
        axis = torch.arange(-extent, extent + spacing, spacing, dtype=self.centers.dtype)
        largest = max(float(self(torch.cartesian_prod(row.view(1), axis)).max()) for row in axis)
        curvature = float((self.heights.abs() / self.widths**2).sum())
        return largest + curvature * (spacing / 2) ** 2


def rejection_sampler(base: Mixture, value: Value, inv_temp: float, upper_bound: float) -> Sampler:
    """Exact draws of p_beta exp(inv_temp Q): draw from p_beta, keep with probability exp(inv_temp (Q - bound))."""

    def draw(n: int, generator: torch.Generator) -> Tensor:
        kept: list[Tensor] = []
        while sum(map(len, kept)) < n:
            x = base.sample(50_000, generator)
            chance = (inv_temp * (value(x) - upper_bound)).exp()
            kept.append(x[torch.rand(len(x), generator=generator, dtype=x.dtype) < chance])
        return torch.cat(kept)[:n]

    return draw
