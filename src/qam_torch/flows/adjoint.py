"""Lean adjoint: a linear ODE, solved backward along a sampled path. It depends on the base flow only.

With b(x, t) = 2 v(x, t) - x / t the drift of the memoryless process, the lean adjoint solves

    d g(t) / dt = - (db/dx (X_t, t))^T g(t),      g(1) = gradient of the terminal cost at X_1.

It is "lean" because it omits those terms of the full adjoint that contain the gradient of the control. At the optimum
their mean given X_t is zero. Without them the adjoint does not diverge, and the loss can treat it as a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from qam_torch.flows.guidance import value_gradient
from qam_torch.flows.ode import integrate_path
from qam_torch.types import Linearizable, Pullback, Velocity

__all__ = ["lean_adjoint", "path_pullbacks", "solve_lean_adjoint", "terminal_adjoint"]


def terminal_adjoint(value: Callable[[Tensor], Tensor], x_1: Tensor, inv_temp: float | Tensor) -> Tensor:
    """Adjoint at t = 1: minus inv_temp times the gradient of the value, g(1) = -inv_temp dQ/dx (X_1).

    Args:
        value: (..., D) -> (...), a scalar per row, e.g. the mean over an ensemble of critics.
        x_1: (..., D).
        inv_temp: float or broadcastable to (..., D), >= 0.

    Returns:
        (..., D).
    """
    return -inv_temp * value_gradient(value, x_1)


@torch.no_grad()
def solve_lean_adjoint(
    base_velocity: Velocity, state_at: Callable[[float], Tensor], adjoint_1: Tensor, steps: int, method: str = "euler"
) -> Tensor:
    """Solve the lean adjoint ODE backwards along a path given as a function of time.

    Args:
        base_velocity: v(x, t) of the base flow.
        state_at: t in (0, 1] -> X_t (..., D).
        adjoint_1: (..., D), adjoint at t = 1.
        steps: number of solver steps; >= 1.
        method: a key of FIXED_GRID_METHODS; "euler" and "midpoint" never evaluate the drift at t = 0, where it is
            singular.

    Returns:
        (steps + 1, ..., D) adjoint at t = 0, 1/steps, ..., 1.

    Source: Domingo-Enrich et al. 2025, lean adjoint ODE; Li & Levine 2026 for the memoryless drift.
    """

    return _solve(lambda t: _pullback(base_velocity, state_at(t), t), adjoint_1, steps, method)


def _pullback(velocity: Velocity, x: Tensor, t: float | Tensor) -> Pullback:
    """g -> (dv/dx (x, t))^T g."""
    product = torch.func.vjp(lambda point: velocity(point, t), x)[1]
    return lambda adjoint: product(adjoint)[0]


def path_pullbacks(velocity: Velocity, xs: Tensor, ts: Tensor, times: Sequence[float]) -> Sequence[Pullback]:
    """Pullbacks g -> (dv/dx)^T g at the nodes of a path; a `Linearizable` flow needs one forward pass for all.

    Args:
        velocity: v(x, t).
        xs: (N, ..., D); N >= 0.
        ts: (N, 1, ..., 1) in [0, 1], the nodes' times.
        times: the same times as Python floats.

    Returns:
        N functions (..., D) -> (..., D).
    """
    if len(xs) == 0:
        return []
    if isinstance(velocity, Linearizable):
        return velocity.linearize(xs, ts)
    return [_pullback(velocity, x, t) for x, t in zip(xs, times, strict=True)]


def _solve(pullback_at: Callable[[float], Pullback], adjoint_1: Tensor, steps: int, method: str) -> Tensor:
    """Solve the ODE with the base flow's pullbacks; returns (steps + 1, ..., D)."""

    def field(s: float, adjoint: Tensor) -> Tensor:
        # Solved in s = 1 - t, as torchdiffeq's solver classes require an increasing grid: dg/ds = + J^T g.
        t = 1.0 - s
        return torch.add(2 * pullback_at(t)(adjoint), adjoint, alpha=-1 / t)

    return integrate_path(field, adjoint_1, steps, method).flip(0)


@torch.no_grad()
def lean_adjoint(base_velocity: Velocity, xs: Tensor, adjoint_1: Tensor) -> Tensor:
    """Lean adjoint at the nodes of a sampled path, in the discretization of the reference.

    g_i = g_{i+1} + dt [d/dx (2 v(x, t_i + dt) - x / (t_i + dt))]^T g_{i+1} at x = X_i: explicit Euler on the grid
    1, 1 - dt, ..., 0, but with X_i in place of X_{i+1}.

    Only the vector-Jacobian products are sequential: a `Linearizable` base flow evaluates all nodes in one forward
    pass.

    Args:
        base_velocity: v(x, t) of the base flow.
        xs: (T, ..., D), X_0 .. X_{T-1}.
        adjoint_1: (..., D), adjoint at t = 1.

    Returns:
        (T, ..., D) g_0 .. g_{T-1}.

    Source: Li & Levine 2026, lean adjoint with T Euler steps.
    """
    flow_steps = len(xs)
    ts = torch.arange(1, flow_steps + 1, dtype=xs.dtype, device=xs.device).div(flow_steps)
    times = [(i + 1) / flow_steps for i in range(flow_steps)]
    pullbacks = path_pullbacks(base_velocity, xs, ts.view(-1, *(1,) * (xs.ndim - 1)), times)
    return _solve(lambda t: pullbacks[round(t * flow_steps) - 1], adjoint_1, flow_steps, "euler")[:-1]
