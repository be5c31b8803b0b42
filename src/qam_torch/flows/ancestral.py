"""The memoryless process with exact conditional steps, an alternative to the paper's discretization.

A velocity v predicts the end of a path: E[X_1 | X_t = x] = x + (1 - t) v(x, t). Given X_t and X_1, the point X_s of the
memoryless process at a later time s > t is Gaussian, with known mean and variance. Steps that sample X_s need no time
shift. If the prediction is exact, the steps are exact for any step size. In diffusion models, this method is called
ancestral sampling (DDPM).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from qam_torch.flows.adjoint import path_pullbacks
from qam_torch.flows.memoryless import MemorylessPath
from qam_torch.types import Velocity

__all__ = ["AncestralStep", "ancestral_adjoints", "ancestral_matching_loss", "ancestral_step", "sample_ancestral"]


class AncestralStep(NamedTuple):
    """Coefficients of one step: X_s = state * X_t + velocity * v(X_t, t) + sqrt(variance) * noise.

    Attributes:
        state: factor of X_t.
        velocity: factor of v(X_t, t).
        variance: noise variance.
    """

    state: float
    velocity: float
    variance: float


def ancestral_step(t: float, s: float, spread: float = 1.0) -> AncestralStep:
    """Compute the coefficients of the step from t to s.

    Backward in time, the process is X_t = (t / s) X_s + b eps with b^2 = (1 - t)^2 - (t (1 - s) / s)^2. By Bayes'
    rule, X_s is Gaussian given X_t and X_1. The variance of X_1 given X_t is computed for data with the same standard
    deviation in every dimension.

    Args:
        t: flow time in [0, 1).
        s: later flow time in (t, 1].
        spread: standard deviation of the data, > 0. For Gaussian data with this standard deviation, the steps are exact
            for any step size. (0 would treat X_1 as known, as in DDPM.)

    Returns:
        The factors of the step.

    Source: Ho et al. 2020 (DDPM), eq. 6 and 7, adapted to the straight path. The variance of X_1 is added here.
    """
    ratio, left = t / s, (1 - t) ** 2
    b_squared = left - (ratio * (1 - s)) ** 2
    weight = s * b_squared / left  # weight of the predicted X_1
    given_end = (1 - s) ** 2 * b_squared / left
    of_end = spread**2 * left / (t**2 * spread**2 + left)
    return AncestralStep(weight + ratio * (1 - s) ** 2 / left, weight * (1 - t), given_end + weight**2 * of_end)


def sample_ancestral(
    velocity: Velocity, base_velocity: Velocity, x_0: Tensor, noise: Tensor, flow_steps: int, spread: float = 1.0
) -> MemorylessPath:
    """Sample the memoryless process of a flow with T ancestral steps.

    As in `sample_memoryless`, the states carry no gradient, but `velocity` is evaluated in the caller's gradient mode.

    Args:
        velocity: v(x, t) of the sampled flow.
        base_velocity: v(x, t) of the base flow, used for an ODE step as the LAST step, as in Li & Levine 2026.
        x_0: (..., D), standard normal.
        noise: (>= T - 1, ..., D), standard normal; row i enters step i.
        flow_steps: T, >= 1.
        spread: standard deviation of the data, > 0, see `ancestral_step`.

    Returns:
        The sampled path.
    """
    x, xs = x_0, [x_0]
    for i in range(flow_steps - 1):
        t = i / flow_steps
        step = ancestral_step(t, (i + 1) / flow_steps, spread)
        value = velocity(x, t).detach()
        x = torch.add(noise[i] * step.variance**0.5, x, alpha=step.state).add_(value, alpha=step.velocity)
        xs.append(x)
    with torch.no_grad():
        last = base_velocity(x, (flow_steps - 1) / flow_steps)
        return MemorylessPath(torch.stack(xs), torch.add(x, last, alpha=1 / flow_steps), last)


@torch.no_grad()
def ancestral_adjoints(base_velocity: Velocity, xs: Tensor, adjoint_1: Tensor) -> Tensor:
    """Compute the lean adjoint along a sampled path by back-propagation through the ancestral steps of the base flow.

    The recursion is g_i = state g_{i+1} + velocity (dv/dx (X_i, t_i))^T g_{i+1}. Its factors `state` and `velocity` are
    those of `ancestral_step`, and do not depend on `spread`.

    Args:
        base_velocity: v(x, t) of the base flow.
        xs: (T, ..., D), X_0 .. X_{T-1}.
        adjoint_1: (..., D), adjoint at t = 1.

    Returns:
        g_1, g_1, g_2, .., g_{T-1} (T, ..., D). At t = 0 the adjoint vanishes, because the process is memoryless.
        Therefore the regression at node 0 uses the adjoint of node 1.
    """
    flow_steps = len(xs)
    ts = torch.arange(1, flow_steps, dtype=xs.dtype, device=xs.device).div(flow_steps)
    times = [i / flow_steps for i in range(flow_steps + 1)]
    pullbacks = path_pullbacks(base_velocity, xs[1:], ts.view(-1, *(1,) * (xs.ndim - 1)), times[1:-1])
    adjoint, adjoints = adjoint_1, []
    for i in range(flow_steps - 1, 0, -1):
        step = ancestral_step(times[i], times[i + 1])
        adjoint = torch.add(step.state * adjoint, pullbacks[i - 1](adjoint), alpha=step.velocity)
        adjoints.append(adjoint)
    return torch.stack([adjoint, *adjoints[::-1]])


def ancestral_matching_loss(correction: Tensor, adjoints: Tensor, spread: float = 1.0) -> Tensor:
    """Compute the adjoint matching loss of ancestral steps: sum over nodes of w_i || u_i + k_i g_i ||^2, mean of rows.

    For t > 0, k = (1 - t) / t and w = 2 t / (1 - t). These are sigma_t^2 / 2 and 4 / sigma_t^2 without a shift. The
    minimizer is the correction of the tilted flow in continuous time, so that any solver may sample the flow.

    At t = 0, these formulas would give an infinite k and w = 0. Instead, the regression uses the control of the first
    step, which moves the mean of X_s by -variance g_1: k = variance / velocity and w = T velocity^2 / variance.

    Args:
        correction: (T, ..., B, D), u_i = f_theta - f_beta at the nodes, with gradient.
        adjoints: (T, ..., B, D), lean adjoints from `ancestral_adjoints`, without gradient.
        spread: standard deviation of the data, > 0, see `ancestral_step`.

    Returns:
        Loss (...).

    Source: Domingo-Enrich et al. 2025, adjoint matching. This discretization is not from a paper.
    """
    flow_steps = len(correction)
    first = ancestral_step(0.0, 1 / flow_steps, spread)
    nodes = torch.arange(1, flow_steps, dtype=correction.dtype, device=correction.device)
    t = nodes.div(flow_steps).view(-1, *(1,) * (correction.ndim - 1))
    one = (1, *t.shape[1:])
    k = torch.cat([t.new_full(one, first.variance / first.velocity), (1 - t) / t])
    w = torch.cat([t.new_full(one, flow_steps * first.velocity**2 / first.variance), 2 * t / (1 - t)])
    residual = torch.addcmul(correction, k, adjoints)
    return (w * residual.square()).sum(-1).sum(0).mean(-1)
