"""The memoryless stochastic process that shares a flow's marginals: noise schedule, drift, rollout.

Adjoint matching is exact only when X_0 and X_1 are independent under the sampled process; among the diffusions with
the flow's marginals exactly one noise schedule achieves that (Domingo-Enrich et al. 2025). All functions shift time
by one solver step, so that nothing is infinite at t = 0.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from qam_torch.types import Velocity

__all__ = ["MemorylessPath", "memoryless_drift", "memoryless_sigma", "sample_memoryless"]

Time = TypeVar("Time", float, Tensor)


def memoryless_sigma(t: Time, dt: float) -> Time:
    """Noise level of the memoryless schedule, shifted by one step so that t = 0 is finite.

    Args:
        t: (*,) in [0, 1), flow time.
        dt: solver step, > 0.

    Returns:
        (*,) sqrt(2 (1 - t + dt) / (t + dt)).

    Source: Domingo-Enrich et al. 2025, memoryless schedule; the shift follows Li & Levine 2026.
    """
    return (2 * (1 - t + dt) / (t + dt)) ** 0.5


def memoryless_drift(velocity: Tensor, x: Tensor, t: float | Tensor, dt: float) -> Tensor:
    """Drift of the memoryless process: b(x, t) = 2 v(x, t) - x / (t + dt).

    Args:
        velocity: (..., D), v(x, t).
        x: (..., D), state.
        t: float or (..., 1), flow time in [0, 1).
        dt: solver step, >= 0; 0 gives the unshifted drift.

    Returns:
        (..., D).

    Source: Domingo-Enrich et al. 2025, drift of a flow with the memoryless schedule; shift of Li & Levine 2026.
    """
    return 2 * velocity - x / (t + dt)


class MemorylessPath(NamedTuple):
    """A sampled path of the memoryless process.

    Attributes:
        xs: (T, ..., D), X_0 .. X_{T-1}, at times 0, dt, ..., 1 - dt.
        x_1: (..., D), X_T.
        base_velocity: (..., D), base flow's velocity at X_{T-1}, kept because the matching loss needs it again.
    """

    xs: Tensor
    x_1: Tensor
    base_velocity: Tensor


def sample_memoryless(
    velocity: Velocity,
    base_velocity: Velocity,
    x_0: Tensor,
    noise: Tensor,
    flow_steps: int,
    differentiable: bool = False,
) -> MemorylessPath:
    """Sample the memoryless process of a flow with T Euler-Maruyama steps.

    By default the states carry no gradient, but `velocity` is evaluated in the caller's gradient mode, so that a loss
    can reuse its values at X_0 .. X_{T-2}.

    Args:
        velocity: v(x, t) of the sampled flow.
        base_velocity: v(x, t) of the base flow; the LAST step is a plain ODE step with it (Li & Levine 2026).
        x_0: (..., D), standard normal.
        noise: (>= T - 1, ..., D), standard normal; row i enters step i.
        flow_steps: T; >= 1.
        differentiable: keep gradients along the whole path, for back-propagation through it.

    Returns:
        The sampled path.

    Source: Li & Levine 2026, the memoryless SDE of the fine-tuned flow.
    """
    dt = 1.0 / flow_steps
    times = torch.arange(flow_steps - 1, dtype=x_0.dtype, device=x_0.device) / flow_steps
    sigma = memoryless_sigma(times, dt).view(-1, *(1,) * x_0.ndim)
    increments = noise[: flow_steps - 1] * (dt**0.5 * sigma)
    x = x_0
    xs = [x]
    for i in range(flow_steps - 1):
        t = i * dt
        value = velocity(x, t) if differentiable else velocity(x, t).detach()
        # x + dt (2 v - x / (t + dt)) + sqrt(dt) sigma_t eps, with both terms in x combined.
        x = torch.add(increments[i], x, alpha=1 - dt / (t + dt)).add_(value, alpha=2 * dt)
        xs.append(x)
    with torch.set_grad_enabled(differentiable and torch.is_grad_enabled()):
        last = base_velocity(x, 1 - dt)
        return MemorylessPath(torch.stack(xs), torch.add(x, last, alpha=dt), last)
