"""The lean adjoint: exact solutions, order of convergence, and agreement with autograd through the sampled path."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from closed_form import Bumps, Mixture
from torch import Tensor

from qam_torch.flows import (
    lean_adjoint,
    memoryless_drift,
    memoryless_sigma,
    sample_memoryless,
    solve_lean_adjoint,
    terminal_adjoint,
)
from qam_torch.types import Velocity

DOUBLE = torch.float64
MEANS = torch.tensor([[1.0, 0.0], [-0.7, 0.7], [0.0, -1.0]], dtype=DOUBLE)
MIXTURE = Mixture(MEANS, 0.5)
VALUE = Bumps(MEANS[:2], torch.tensor([1.0, 0.4], dtype=DOUBLE), torch.tensor([0.8, 1.0], dtype=DOUBLE))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def observed_order(error: Callable[[int], float], steps: int) -> float:
    """log2 of the factor by which the error falls when the step is halved."""
    return math.log2(error(steps) / error(2 * steps))


def gaussian_problem(std: float) -> tuple[Velocity, Callable[[float], Tensor], Callable[[Tensor], Tensor]]:
    """Flow of N(0, std^2): db/dx = C'/C - 1/t with C = t^2 std^2 + (1 - t)^2, so g = g(1) t std^2 / C."""

    def velocity(x: Tensor, t: float | Tensor) -> Tensor:
        return (t * std**2 - (1 - t)) / (t**2 * std**2 + (1 - t) ** 2) * x

    return velocity, lambda t: torch.ones(3, dtype=DOUBLE), lambda t: t * std**2 / (t**2 * std**2 + (1 - t) ** 2)


def curved_problem() -> tuple[Velocity, Callable[[float], Tensor], Callable[[Tensor], Tensor]]:
    """v = sin x along x(t) = arccos t: db/dx = 2 t - 1/t, so g = g(1) t exp(1 - t^2)."""
    path: Callable[[float], Tensor] = lambda t: torch.full((3,), math.acos(min(t, 1.0)), dtype=DOUBLE)  # noqa: E731
    return lambda x, t: x.sin(), path, lambda t: t * (1 - t**2).exp()


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2)])
@pytest.mark.parametrize("problem", [gaussian_problem(0.6), curved_problem()])
def test_order_of_convergence(
    problem: tuple[Velocity, Callable[[float], Tensor], Callable[[Tensor], Tensor]], method: str, order: int
) -> None:
    velocity, path, exact = problem
    adjoint_1 = torch.tensor([1.0, -2.0, 0.5], dtype=DOUBLE)

    def error(steps: int) -> float:
        adjoints = solve_lean_adjoint(velocity, path, adjoint_1, steps, method)
        t = torch.arange(steps + 1, dtype=DOUBLE)[:, None] / steps
        return float((adjoints - exact(t) * adjoint_1).abs().max())

    assert observed_order(error, 128) == pytest.approx(order, abs=0.2)


def test_terminal_adjoint_is_minus_inv_temp_times_the_gradient() -> None:
    x_1 = normal(4, 5, 2)
    inv_temp = torch.tensor([0.0, 0.3, 1.0, 3.0], dtype=DOUBLE).view(4, 1, 1)
    center, height, width = MEANS[:1], torch.ones(1, dtype=DOUBLE), torch.full((1,), 0.8, dtype=DOUBLE)
    bump = Bumps(center, height, width)
    gradient = -(x_1 - center) / 0.64 * bump(x_1)[..., None]
    torch.testing.assert_close(terminal_adjoint(bump, x_1, inv_temp), -inv_temp * gradient)


def test_steps_by_hand() -> None:
    def velocity(x: Tensor, t: float | Tensor) -> Tensor:
        return t * x**2 / 2  # d/dx (2 v - x / t) = 2 t x - 1 / t

    xs = torch.tensor([[0.5], [2.0]], dtype=DOUBLE)
    adjoints = lean_adjoint(velocity, xs, torch.tensor([4.0], dtype=DOUBLE))
    g_1 = 4.0 * (1 + 0.5 * (2 * 1.0 * 2.0 - 1))  # at t = 1, with the path read at X_1
    g_0 = g_1 * (1 + 0.5 * (2 * 0.5 * 0.5 - 2))  # at t = 1/2, with the path read at X_0
    torch.testing.assert_close(adjoints, torch.tensor([[g_0], [g_1]], dtype=DOUBLE))


def brownian(steps: int, finest: int, rows: int) -> Tensor:
    """Standard normals of `steps` steps that are sums over one and the same Brownian path: (steps, rows, 2)."""
    fine = normal(finest, rows, 2, seed=3)
    return fine.view(steps, finest // steps, rows, 2).sum(1) * math.sqrt(steps / finest)


def autograd_adjoints(x_0: Tensor, noise: Tensor, flow_steps: int, inv_temp: float) -> Tensor:
    """Gradient of -inv_temp Q(X_1) with respect to every node of the sampled path, by back-propagation."""
    dt = 1.0 / flow_steps
    nodes = [x_0.clone().requires_grad_()]
    for i in range(flow_steps - 1):
        t, x = i * dt, nodes[-1]
        drift = memoryless_drift(MIXTURE.velocity(x, t), x, t, dt)
        nodes.append(x + dt * drift + math.sqrt(dt) * memoryless_sigma(t, dt) * noise[i])
    x_1 = nodes[-1] + dt * MIXTURE.velocity(nodes[-1], 1 - dt)
    return torch.stack(torch.autograd.grad(-inv_temp * VALUE(x_1).sum(), nodes))


def test_first_order_agreement_with_autograd_through_the_path() -> None:
    """With f_theta = f_beta there is no control to leave out: lean and full adjoint are the same ODE."""
    finest, rows, inv_temp = 512, 200, 2.0
    x_0 = normal(rows, 2)
    scale = 0.0

    def error(flow_steps: int) -> float:
        nonlocal scale
        noise = brownian(flow_steps, finest, rows)
        path = sample_memoryless(MIXTURE.velocity, MIXTURE.velocity, x_0, noise, flow_steps)
        lean = lean_adjoint(MIXTURE.velocity, path.xs, terminal_adjoint(VALUE, path.x_1, inv_temp))
        full = autograd_adjoints(x_0, noise, flow_steps, inv_temp)
        scale = float(full.norm(dim=-1).mean())
        # Nodes of all numbers of steps at the same times 1/4, 1/2, 3/4.
        same_times = slice(flow_steps // 4, None, flow_steps // 4)
        return float((lean - full)[same_times].norm(dim=-1).mean())

    orders = [observed_order(error, steps) for steps in (64, 128, 256)]
    assert all(0.8 < order < 1.2 for order in orders), orders
    assert error(512) < 0.02 * scale


def test_leading_axes_equal_a_loop() -> None:
    xs, adjoint_1 = normal(6, 3, 4, 5, 2), normal(3, 4, 5, 2, seed=1)
    together = lean_adjoint(MIXTURE.velocity, xs, adjoint_1)
    assert together.shape == xs.shape
    torch.testing.assert_close(lean_adjoint(MIXTURE.velocity, xs[:, 1, 2], adjoint_1[1, 2]), together[:, 1, 2])
