"""Ancestral steps: their numbers by hand, exact cases, the base flow's marginals, and the adjoint against autograd."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from closed_form import Bumps, Gaussian, Mixture
from tilted_density import sliced_wasserstein
from torch import Tensor

from qam_torch.flows import (
    AncestralDiscretization,
    AncestralStep,
    ancestral_adjoints,
    ancestral_matching_loss,
    ancestral_step,
    sample_ancestral,
    sample_memoryless,
    terminal_adjoint,
)
from qam_torch.types import QamError

DOUBLE = torch.float64
MEANS = torch.tensor([[1.0, 0.0], [-0.7, 0.7], [0.0, -1.0]], dtype=DOUBLE)
MIXTURE = Mixture(MEANS, 0.5)
VALUE = Bumps(MEANS[:2], torch.tensor([1.0, 0.4], dtype=DOUBLE), torch.tensor([0.8, 1.0], dtype=DOUBLE))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("t", "s", "spread", "expected"),
    [
        # The first step: s times the predicted X_1, and noise of 1 - s, beside the variance s^2 spread^2 of X_1.
        (0.0, 0.5, 1.0, (0.5, 0.5, 0.25 + 0.25)),
        (0.0, 0.5, 2.0, (0.5, 0.5, 0.25 + 1.0)),
        # b^2 = 1/4 - (2/3 * 1/4)^2 = 2/9, weight = 3/4 * 2/9 * 4 = 2/3; 1/16 * 8/9 + 4/9 * 1/2.
        (0.5, 0.75, 1.0, (2 / 3 + 1 / 6, 1 / 3, 1 / 18 + 2 / 9)),
        # The last step ends at the predicted X_1.
        (0.8, 1.0, 1.0, (1.0, 0.2, 0.04 / 0.68)),
    ],
)
def test_steps_by_hand(t: float, s: float, spread: float, expected: tuple[float, float, float]) -> None:
    assert ancestral_step(t, s, spread) == pytest.approx(AncestralStep(*expected), rel=1e-12)


def slope(t: float, std: float) -> float:
    """v(x, t) = slope x for the flow of N(0, std^2)."""
    return (t * std**2 - (1 - t)) / (t**2 * std**2 + (1 - t) ** 2)


@pytest.mark.parametrize("std", [0.3, 1.0, 1.7])
@pytest.mark.parametrize("steps", [2, 5, 10])
def test_variances_are_exact_for_normal_data_of_that_spread(std: float, steps: int) -> None:
    variance = 1.0
    for i in range(steps - 1):
        t, s = i / steps, (i + 1) / steps
        step = ancestral_step(t, s, std)
        factor = step.state + step.velocity * slope(t, std)
        assert i > 0 or factor == pytest.approx(0.0, abs=1e-15), "X_0 is forgotten in the first step"
        variance = factor**2 * variance + step.variance
        assert variance == pytest.approx(s**2 * std**2 + (1 - s) ** 2, rel=1e-12)


@pytest.mark.parametrize("steps", [2, 5, 10])
def test_the_regression_asks_for_the_exact_correction_of_normal_data(steps: int) -> None:
    """With Q = q x the tilted flow of N(0, std^2) is v + (1 - t) std^2 inv_temp q / (t^2 std^2 + (1 - t)^2)."""
    std, inv_temp, q = 0.6, 3.0, torch.tensor([1.0, -2.0], dtype=DOUBLE)
    xs = normal(steps, 4, 2)
    adjoints = ancestral_adjoints(lambda x, t: slope(float(t), std) * x, xs, (-inv_temp * q).expand(4, 2))
    t = torch.arange(steps, dtype=DOUBLE).view(-1, 1, 1) / steps
    exact = ((1 - t) * std**2 * inv_temp / (t**2 * std**2 + (1 - t) ** 2) * q).expand(steps, 4, 2)
    exact = exact.clone().requires_grad_()
    loss = ancestral_matching_loss(exact, adjoints, spread=std)
    assert loss.item() == pytest.approx(0.0, abs=1e-24)
    (gradient,) = torch.autograd.grad(loss, exact)
    assert float(gradient.abs().max()) < 1e-12
    assert ancestral_matching_loss(exact + 0.1, adjoints, spread=std).item() > 1e-3


def test_the_adjoint_is_back_propagation_through_the_base_steps() -> None:
    steps, rows = 7, 16
    x = normal(rows, 2).requires_grad_()
    noise, states = normal(steps - 1, rows, 2, seed=1), [x]
    for i in range(steps):
        step = ancestral_step(i / steps, (i + 1) / steps)
        x = step.state * x + step.velocity * MIXTURE.velocity(x, i / steps)
        if i < steps - 1:
            x = x + step.variance**0.5 * noise[i]
            states.append(x)
    expected = torch.autograd.grad(-3.0 * VALUE(x).sum(), states)
    path = sample_ancestral(MIXTURE.velocity, MIXTURE.velocity, states[0].detach(), noise, steps)
    torch.testing.assert_close(path.xs, torch.stack(states).detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(path.x_1, x.detach(), rtol=1e-12, atol=1e-12)
    adjoints = ancestral_adjoints(MIXTURE.velocity, path.xs, terminal_adjoint(VALUE, path.x_1, 3.0))
    torch.testing.assert_close(adjoints[1:], torch.stack(expected[1:]), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(adjoints[0], adjoints[1], rtol=0, atol=0)
    assert float(expected[0].abs().max()) < 1e-14, "at t = 0 the adjoint vanishes"


def test_the_loss_by_hand() -> None:
    correction = torch.tensor([[[1.0]], [[2.0]]], dtype=DOUBLE)
    adjoints = torch.tensor([[[3.0]], [[-1.0]]], dtype=DOUBLE)
    # Two nodes, 0 and 1/2. First step: velocity 1/2, variance 1/2, so k = 1 and w = 2 * 1/4 / (1/2) = 1.
    # Second node: k = 1, w = 2.
    assert ancestral_matching_loss(correction, adjoints).item() == pytest.approx((1 + 3) ** 2 + 2 * (2 - 1) ** 2)
    # With spread 2 the first step's variance is 1/4 + 1, so k = 2.5 and w = 2 * 1/4 / 1.25 = 0.4.
    expected = 0.4 * (1 + 2.5 * 3) ** 2 + 2 * (2 - 1) ** 2
    assert ancestral_matching_loss(correction, adjoints, spread=2.0).item() == pytest.approx(expected)


def test_nothing_is_asked_of_the_base_flow_without_a_critic() -> None:
    ancestral, steps = AncestralDiscretization(), 6
    path = ancestral.sample(MIXTURE.velocity, MIXTURE.velocity, normal(8, 2), normal(steps - 1, 8, 2, seed=1), steps)
    adjoints = ancestral.adjoints(MIXTURE.velocity, path.xs, terminal_adjoint(VALUE, path.x_1, 0.0))
    correction = torch.zeros_like(path.xs, requires_grad=True)
    loss = ancestral.loss(correction, adjoints)
    (gradient,) = torch.autograd.grad(loss, correction)
    assert loss.item() == 0 and not gradient.any()


def test_one_step_is_the_base_flow() -> None:
    """Its regression is that of the first step, whose X_1 has the variance spread^2."""
    x_0, q = normal(5, 2), torch.tensor([1.0, -2.0], dtype=DOUBLE)
    path = sample_ancestral(MIXTURE.velocity, MIXTURE.velocity, x_0, normal(0, 5, 2), 1)
    torch.testing.assert_close(path.x_1, x_0 + MIXTURE.velocity(x_0, 0.0))
    adjoints = ancestral_adjoints(MIXTURE.velocity, path.xs, -q.expand(5, 2))
    assert ancestral_matching_loss(q.expand(1, 5, 2), adjoints).item() == 0


@pytest.mark.parametrize("spread", [0, -1.0, math.inf, math.nan, True, "abc", [0.5, 1]])
def test_a_spread_that_is_not_a_finite_positive_number_is_refused(spread: Any) -> None:
    with pytest.raises(
        QamError, match=r"algo\.discretization\.spread=.* is out of range: expected a finite number > 0"
    ):
        AncestralDiscretization(spread=spread)


GAUSSIAN = Gaussian(torch.tensor([0.8, -0.5]), torch.tensor([[0.25, 0.10], [0.10, 0.16]]))
RING = Mixture(torch.tensor([[1.5, 0.0], [-1.0, 1.0], [0.0, -1.5]]), 0.35)


def end_error(base: Gaussian, steps: int, ancestral: bool, rows: int = 20_000) -> float:
    """Sliced Wasserstein-1 distance of X_1 to the base density."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn(steps, rows, 2, generator=generator)
    sample = sample_ancestral if ancestral else sample_memoryless
    x_1 = sample(base.velocity, base.velocity, draws[0], draws[1:], steps).x_1
    return sliced_wasserstein(x_1, base.sample(rows, generator))


@pytest.mark.slow
def test_the_end_of_a_gaussian_process_is_nearer_to_the_base_density_than_with_a_shift() -> None:
    assert end_error(GAUSSIAN, 10, ancestral=True) < 0.7 * end_error(GAUSSIAN, 10, ancestral=False)


@pytest.mark.slow
def test_marginals_converge() -> None:
    rows, errors = 8_000, {}
    for steps in (4, 32):
        draws = torch.randn(steps, rows, 2, generator=torch.Generator().manual_seed(0))
        xs = sample_ancestral(RING.velocity, RING.velocity, draws[0], draws[1:], steps).xs
        worst = 0.0
        for share in (0.25, 0.5, 0.75):
            generator = torch.Generator().manual_seed(1)
            noise = torch.randn(rows, 2, generator=generator)
            exact = share * RING.sample(rows, generator) + (1 - share) * noise
            worst = max(worst, sliced_wasserstein(xs[round(share * steps)], exact))
        errors[steps] = worst
    assert errors[32] < 0.04 and errors[32] < 0.5 * errors[4], errors


def test_the_weights_are_those_of_the_unshifted_schedule() -> None:
    """4 / sigma_t^2 with sigma_t^2 = 2 (1 - t) / t, seen from unit residuals of one node at a time."""
    steps = 4
    for i in range(1, steps):
        correction = torch.zeros(steps, 1, 1, dtype=DOUBLE)
        correction[i] = 1.0
        t = i / steps
        loss = ancestral_matching_loss(correction, torch.zeros_like(correction)).item()
        assert loss == pytest.approx(4 / (2 * (1 - t) / t)) and math.isfinite(loss)
