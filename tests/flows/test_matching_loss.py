"""The adjoint-matching loss: where it is zero, its minimizer, its numbers by hand, and its axes."""

from __future__ import annotations

import math

import pytest
import torch
from closed_form import Bumps, Mixture
from tilted_density import MLPCorrection
from torch import Tensor

from qam_torch.flows import (
    adjoint_matching_loss,
    lean_adjoint,
    memoryless_sigma,
    node_sigmas,
    sample_memoryless,
    stochastic_control_loss,
    terminal_adjoint,
)

DOUBLE = torch.float64
MEANS = torch.tensor([[1.0, 0.0], [-0.7, 0.7], [0.0, -1.0]], dtype=DOUBLE)
MIXTURE = Mixture(MEANS, 0.5)
VALUE = Bumps(MEANS[:2], torch.tensor([1.0, 0.4], dtype=DOUBLE), torch.tensor([0.8, 1.0], dtype=DOUBLE))
STEPS = 10


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


def path_and_adjoints(inv_temp: float) -> tuple[Tensor, Tensor]:
    path = sample_memoryless(MIXTURE.velocity, MIXTURE.velocity, normal(32, 2), normal(STEPS, 32, 2, seed=1), STEPS)
    return path.xs, lean_adjoint(MIXTURE.velocity, path.xs, terminal_adjoint(VALUE, path.x_1, inv_temp))


def test_node_sigmas_are_the_schedule_at_the_nodes() -> None:
    sigma = node_sigmas(STEPS, normal(STEPS, 3, 4, 2))
    assert sigma.shape == (STEPS, 1, 1, 1)
    for i in range(STEPS):
        assert math.isclose(float(sigma[i]), memoryless_sigma(i / STEPS, 1 / STEPS), rel_tol=1e-12)


def test_no_tilt_and_no_correction_give_zero_loss_and_zero_gradient() -> None:
    xs, adjoints = path_and_adjoints(inv_temp=0.0)
    correction = MLPCorrection(STEPS, width=16).double()
    nodes = (torch.arange(STEPS, dtype=DOUBLE) / STEPS).view(-1, 1, 1)
    loss = adjoint_matching_loss(correction(xs, nodes), adjoints, node_sigmas(STEPS, xs))
    loss.backward()
    assert loss.item() == 0.0
    assert all(float(p.grad.abs().max()) == 0.0 for p in correction.parameters() if p.grad is not None)
    # The same network does learn as soon as there is something to tilt by.
    _, tilted = path_and_adjoints(inv_temp=1.0)
    adjoint_matching_loss(correction(xs, nodes), tilted, node_sigmas(STEPS, xs)).backward()
    assert any(float(p.grad.abs().max()) > 0.0 for p in correction.parameters() if p.grad is not None)


def test_optimum_is_minus_half_sigma_squared_times_the_adjoint() -> None:
    xs, adjoints = path_and_adjoints(inv_temp=2.0)
    sigma = node_sigmas(STEPS, xs)
    optimum = (-0.5 * sigma.square() * adjoints).requires_grad_()
    loss = adjoint_matching_loss(optimum, adjoints, sigma)
    (gradient,) = torch.autograd.grad(loss, optimum)
    scale = float(adjoint_matching_loss(torch.zeros_like(xs), adjoints, sigma))
    assert loss.item() < 1e-28 * scale
    assert float(gradient.abs().max()) < 1e-13 * scale
    for seed in range(3):
        elsewhere = optimum.detach() + 0.1 * normal(*xs.shape, seed=seed)
        assert float(adjoint_matching_loss(elsewhere, adjoints, sigma)) > 1e-3


def test_losses_by_hand() -> None:
    sigma = torch.tensor([2.0, 1.0]).view(2, 1, 1)
    correction = torch.tensor([[[1.0, 0.0], [0.0, 2.0]], [[0.5, 0.5], [0.0, 0.0]]])
    adjoints = torch.tensor([[[0.0, 1.0], [1.0, 0.0]], [[-1.0, 0.0], [2.0, 0.0]]])
    # Residuals 2 u / sigma + sigma g; row 0: (1, 2), (0, 1); row 1: (2, 2), (2, 0).
    assert float(adjoint_matching_loss(correction, adjoints, sigma)) == ((1 + 4) + (0 + 1) + (4 + 4) + 4) / 2
    # Energies ||2 u / sigma||^2; row 0: 1 + 2; row 1: 4 + 0; each times dt / 2.
    cost = torch.tensor([10.0, 20.0])
    assert float(stochastic_control_loss(correction, cost, sigma, 0.5)) == (0.25 * 3 + 10 + 0.25 * 4 + 20) / 2


def test_leading_axes_equal_a_loop() -> None:
    correction, adjoints = normal(STEPS, 3, 4, 5, 2), normal(STEPS, 3, 4, 5, 2, seed=1)
    together = adjoint_matching_loss(correction, adjoints, node_sigmas(STEPS, correction))
    cost = normal(3, 4, 5)
    control = stochastic_control_loss(correction, cost, node_sigmas(STEPS, correction), 1 / STEPS)
    assert together.shape == control.shape == (3, 4)
    u, g = correction[:, 2, 1], adjoints[:, 2, 1]
    sigma = node_sigmas(STEPS, u)
    torch.testing.assert_close(adjoint_matching_loss(u, g, sigma), together[2, 1])
    torch.testing.assert_close(stochastic_control_loss(u, cost[2, 1], sigma, 1 / STEPS), control[2, 1])


@pytest.mark.slow
def test_gradient_agrees_with_that_of_the_control_problem_at_the_base_flow() -> None:
    """At f_theta = f_beta the expected gradients of both losses agree, up to the discretization (first order)."""
    rows, gaps = 20_000, []
    for steps in (25, 100):
        dt = 1 / steps
        x_0, noise = normal(rows, 2), normal(steps, rows, 2, seed=1)
        offset = torch.zeros(2, dtype=DOUBLE, requires_grad=True)
        x, corrections = x_0, []
        for i in range(steps - 1):
            t = i * dt
            velocity = MIXTURE.velocity(x, t) + (1 - t) * offset
            corrections.append(((1 - t) * offset).expand(rows, 2))
            x = x + dt * (2 * velocity - x / (t + dt)) + math.sqrt(dt) * memoryless_sigma(t, dt) * noise[i]
        x_1 = x + dt * MIXTURE.velocity(x, 1 - dt)
        sigma = node_sigmas(steps, noise)
        u = torch.stack([*corrections, torch.zeros(rows, 2, dtype=DOUBLE)])
        (control,) = torch.autograd.grad(stochastic_control_loss(u, -VALUE(x_1), sigma, dt), offset)

        path = sample_memoryless(MIXTURE.velocity, MIXTURE.velocity, x_0, noise, steps)
        adjoints = lean_adjoint(MIXTURE.velocity, path.xs, terminal_adjoint(VALUE, path.x_1, 1.0))
        u = torch.stack([((1 - i * dt) * offset).expand(rows, 2) for i in range(steps)])
        (matching,) = torch.autograd.grad(adjoint_matching_loss(u, adjoints, sigma), offset)
        # d/du of ||2 u / sigma + sigma g||^2 at u = 0 is 4 g; that of the control problem is 2 dt g.
        gaps.append(float((matching * dt / 2 - control).norm() / control.norm()))
    assert gaps[1] < 0.4 * gaps[0]
    assert gaps[1] < 0.05
