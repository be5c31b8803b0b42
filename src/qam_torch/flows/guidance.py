"""Guidance of a flow by a value gradient, and the velocity that corresponds to it on the straight path."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["guidance_velocity", "value_gradient"]


def value_gradient(value: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """dV/dx per row, detached from the value's parameters under `no_grad`.

    Args:
        value: (..., D) -> (...), a scalar per row, e.g. the mean over an ensemble of critics.
        x: (..., D).

    Returns:
        (..., D).
    """
    values, pullback = torch.func.vjp(value, x)[:2]
    (gradient,) = pullback(torch.ones_like(values))
    return gradient


def guidance_velocity(gradient: Tensor, x: Tensor, t: float, inv_temp: float | Tensor) -> Tensor:
    """Velocity at X_t = x of the flow whose score is inv_temp times the value's gradient.

    On the straight path, velocity and score are related by v = ((1 - t) score + x) / t. CGQL adds a multiple of the
    velocity returned here to that of a flow, which combines the two scores.

    Args:
        gradient: (..., D), dV/dx at x.
        x: (..., D).
        t: flow time in (0, 1]; undefined at t = 0.
        inv_temp: float or broadcastable to (..., D).

    Returns:
        (..., D).

    Source: Li & Levine 2026, guidance of CGQL.
    """
    return ((1 - t) * inv_temp * gradient + x) / t
