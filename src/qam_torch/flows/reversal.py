"""Run a flow backward from t = 1, or make one Euler step forward."""

from __future__ import annotations

import torch
from torch import Tensor

from qam_torch.flows.ode import VectorField, integrate, integrate_path
from qam_torch.types import Velocity

__all__ = ["reverse_flow", "reverse_path", "euler_step"]


def reverse_flow(velocity: Velocity, x_1: Tensor, depth: Tensor, flow_steps: int) -> tuple[Tensor, Tensor]:
    """Run a flow backward from t = 1 to 1 - depth with T Euler steps of size depth / T.

    Every row makes T steps, whatever its depth. So the time nodes equal those of the forward flow only if depth is 1.
    Even then, the velocity is evaluated at the other end of each step.

    Args:
        velocity: v(x, t), with or without gradient.
        x_1: (..., D), end of the flow (an action).
        depth: (..., 1) in [0, 1], flow time by which each row is reversed; 0 leaves the row unchanged.
        flow_steps: T, at least 1.

    Returns:
        x_t (..., D), not clipped, and the time t = 1 - depth (..., 1).

    Source: Oberai, Park & Levine 2026, reversed flow.
    """
    return integrate(_backward(velocity, depth), x_1, flow_steps), 1 - depth


def reverse_path(velocity: Velocity, x_1: Tensor, depth: Tensor, flow_steps: int) -> tuple[Tensor, Tensor]:
    """Run a flow backward as `reverse_flow` does, and return all nodes.

    Args:
        velocity: see `reverse_flow`.
        x_1: see `reverse_flow`.
        depth: see `reverse_flow`.
        flow_steps: see `reverse_flow`.

    Returns:
        The points xs (T + 1, ..., D), of which the first is x_1, and their times (T + 1, ..., 1).
    """
    xs = integrate_path(_backward(velocity, depth), x_1, flow_steps)
    return xs, torch.stack([1 - depth * (i / flow_steps) for i in range(flow_steps + 1)])


def _backward(velocity: Velocity, depth: Tensor) -> VectorField:
    """Return the ODE of the reversed flow in rescaled time, which runs from 0 to 1 in every row."""
    return lambda elapsed, x: -depth * velocity(x, 1 - depth * elapsed)


def euler_step(velocity: Tensor, x_t: Tensor, t: Tensor, flow_steps: int) -> tuple[Tensor, Tensor]:
    """Make one Euler step of size 1 / T, or a shorter one that ends at t = 1.

    Args:
        velocity: (..., D), v(x_t, t).
        x_t: (..., D), current point.
        t: (..., 1) in [0, 1], current time.
        flow_steps: T, at least 1.

    Returns:
        The next point (..., D) and its time (..., 1).

    Source: Oberai, Park & Levine 2026, value maximization by one step.
    """
    dt = (1 - t).clamp(max=1 / flow_steps)
    return x_t + dt * velocity, (t + 1 / flow_steps).clamp(max=1)
