"""ODE solvers of torchdiffeq with fixed or adaptive steps. Fixed steps never wait for the device.

torchdiffeq's `odeint` reads the time tensor on the host at every step. On a GPU, this costs one synchronization per
step and makes capture in a CUDA graph impossible. Instead, `integrate` uses torchdiffeq's fixed-grid solvers on a grid
of Python floats, which is also cheaper than a grid of tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchdiffeq import odeint

from qam_torch.flows.torchdiffeq_internals import FIXED_GRID_METHODS, SOLVER_NAMES, fixed_grid_solver
from qam_torch.types import QamError, Velocity, require

__all__ = ["FIXED_GRID_METHODS", "VectorField", "integrate", "integrate_path", "sample_flow"]

VectorField = Callable[[float, Tensor], Tensor]


def _unit_grid(steps: int) -> list[float]:
    """Return the grid 0, 1/steps, ..., 1."""
    require("flow_steps", steps >= 1, steps, "at least 1 solver step")
    return [i / steps for i in range(steps + 1)]


def _solver(field: VectorField, y_0: Tensor, method: str, **options: object) -> Any:
    if method not in FIXED_GRID_METHODS:
        raise QamError(f"unknown fixed-grid method '{method}': expected one of {', '.join(FIXED_GRID_METHODS)}")
    return fixed_grid_solver(field, y_0, method, **options)


def integrate_path(field: VectorField, y_0: Tensor, steps: int, method: str = "euler") -> Tensor:
    """Solve dy/dt = field(t, y) from t = 0 to 1 on a uniform grid, and return the states at all nodes.

    Args:
        field: function (t, y) -> dy/dt; t is a Python float.
        y_0: (..., D), state at t = 0.
        steps: number of solver steps, >= 1.
        method: a key of FIXED_GRID_METHODS.

    Returns:
        States (steps + 1, ..., D) at t = 0, 1/steps, ..., 1.
    """
    return _solver(field, y_0, method).integrate(_unit_grid(steps))


def integrate(field: VectorField, y_0: Tensor, steps: int, method: str = "euler") -> Tensor:
    """Solve the ODE of `integrate_path`, and return only the state (..., D) at t = 1."""
    grid = _unit_grid(steps)
    solver = _solver(field, y_0, method, grid_constructor=lambda func, y0, t: grid)
    return solver.integrate([0.0, 1.0])[-1]


def sample_flow(
    velocity: Velocity,
    x_0: Tensor,
    flow_steps: int,
    method: str = "euler",
    rtol: float = 1e-5,
    atol: float = 1e-5,
) -> Tensor:
    """Map noise through a flow: solve dX/dt = v(X, t) from X_0 to X_1.

    Args:
        velocity: v(x, t) with t in [0, 1].
        x_0: (..., D), noise.
        flow_steps: number of steps of a fixed-grid method, >= 1. Adaptive methods ignore it.
        method: a key of FIXED_GRID_METHODS, or an adaptive method of torchdiffeq, e.g. "dopri5". Use adaptive methods
            only for evaluation, because they synchronize with the device at each step.
        rtol: relative tolerance of adaptive methods, > 0.
        atol: absolute tolerance of adaptive methods, > 0.

    Returns:
        X_1 (..., D), not clipped.

    Raises:
        QamError: the method is unknown, or flow_steps < 1 with a fixed-grid method.

    Source: Li & Levine 2026, Euler with T steps.
    """
    if method in FIXED_GRID_METHODS:
        return integrate(lambda t, x: velocity(x, t), x_0, flow_steps, method)
    if method not in SOLVER_NAMES:
        raise QamError(f"unknown solver method '{method}': expected one of {', '.join(SOLVER_NAMES)}")
    ends = torch.tensor([0.0, 1.0], dtype=x_0.dtype, device=x_0.device)
    return odeint(lambda t, x: velocity(x, t), x_0, ends, method=method, rtol=rtol, atol=atol)[-1]
