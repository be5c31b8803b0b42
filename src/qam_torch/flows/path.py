"""The straight probability path from noise to data, and the loss that learns its velocity."""

from __future__ import annotations

import torch
from torch import Tensor

from qam_torch.types import Velocity

__all__ = ["flow_matching_loss", "interpolate"]


def interpolate(x_0: Tensor, x_1: Tensor, t: Tensor) -> Tensor:
    """The point of the straight path at flow time t: X_t = (1 - t) X_0 + t X_1.

    Args:
        x_0: (..., D), noise.
        x_1: (..., D), data.
        t: (..., 1) in [0, 1] flow time.

    Returns:
        (..., D).

    Source: Lipman et al. 2023 (flow matching), conditional optimal-transport path with sigma_min = 0.
    """
    return torch.lerp(x_0, x_1, t)


def flow_matching_loss(velocity: Velocity, x_0: Tensor, x_1: Tensor, t: Tensor, weight: Tensor | None = None) -> Tensor:
    """Conditional flow matching: regress v(X_t, t) onto X_1 - X_0.

    Args:
        velocity: (..., B, D), (..., B, 1) -> (..., B, D).
        x_0: (..., B, D), noise, standard normal.
        x_1: (..., B, D), data.
        t: (..., B, 1) in [0, 1], flow time, uniform.
        weight: (..., B) or None, weight of each row. The mean still divides by B.

    Returns:
        (...) mean over rows of weight * mean over dimensions of the squared error.

    Source: Lipman et al. 2023, eq. 9; the mean over dimensions and the row weight follow Li & Levine 2026.
    """
    error = velocity(interpolate(x_0, x_1, t), t) - (x_1 - x_0)
    row_loss = error.square().mean(-1)
    return (row_loss if weight is None else weight * row_loss).mean(-1)
