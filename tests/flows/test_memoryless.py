"""The memoryless process: its numbers by hand, the base flow's marginals, and the independence of its two ends."""

from __future__ import annotations

import math

import pytest
import torch
from closed_form import Gaussian, Mixture
from tilted_density import sliced_wasserstein
from torch import Tensor

from qam_torch.flows import MemorylessPath, memoryless_drift, memoryless_sigma, sample_flow, sample_memoryless

GAUSSIAN = Gaussian(torch.tensor([0.8, -0.5]), torch.tensor([[0.25, 0.10], [0.10, 0.16]]))
MIXTURE = Mixture(torch.tensor([[1.5, 0.0], [-1.0, 1.0], [0.0, -1.5]]), 0.35)
ROWS = 20_000


def base_path(base: Gaussian | Mixture, flow_steps: int, rows: int = ROWS) -> MemorylessPath:
    draws = torch.randn(flow_steps, rows, 2, generator=torch.Generator().manual_seed(0))
    return sample_memoryless(base.velocity, base.velocity, draws[0], draws[1:], flow_steps)


def states(path: MemorylessPath, flow_steps: int) -> list[tuple[float, Tensor]]:
    nodes = [round(share * flow_steps) for share in (0.25, 0.5, 0.75)]
    return [*((i / flow_steps, path.xs[i]) for i in nodes), (1.0, path.x_1)]


@pytest.mark.parametrize(
    ("t", "dt", "sigma"),
    [(0.0, 0.1, math.sqrt(22)), (0.5, 0.1, math.sqrt(2)), (0.9, 0.1, math.sqrt(0.4)), (0.5, 0.0, math.sqrt(2))],
)
def test_sigma_by_hand(t: float, dt: float, sigma: float) -> None:
    assert memoryless_sigma(t, dt) == pytest.approx(sigma, rel=1e-12)
    torch.testing.assert_close(memoryless_sigma(torch.tensor([t]), dt), torch.tensor([sigma]))


def test_drift_by_hand() -> None:
    drift = memoryless_drift(torch.tensor([1.0, -2.0]), torch.tensor([0.3, 0.6]), 0.2, 0.1)
    torch.testing.assert_close(drift, torch.tensor([1.0, -6.0]))


def test_two_steps_by_hand() -> None:
    def velocity(x: Tensor, t: float | Tensor) -> Tensor:
        return 3 * x + t

    x_0, noise = torch.tensor([[1.0]]), torch.tensor([[[0.5]]])
    path = sample_memoryless(velocity, lambda x, t: x - t, x_0, noise, 2)
    # sigma_0^2 = 2 * 1.5 / 0.5 = 6; the drift at t = 0 is 2 * 3 - 1 / 0.5 = 4.
    x_half = 1 + 0.5 * 4 + math.sqrt(0.5 * 6) * 0.5
    torch.testing.assert_close(path.xs, torch.tensor([[[1.0]], [[x_half]]]))
    # The last step is a plain ODE step with the base flow, without noise.
    torch.testing.assert_close(path.base_velocity, torch.tensor([[x_half - 0.5]]))
    torch.testing.assert_close(path.x_1, torch.tensor([[1.5 * x_half - 0.25]]))


def test_gaussian_marginals() -> None:
    errors = {}
    for flow_steps in (50, 200):
        errors[flow_steps] = 0.0
        for t, x in states(base_path(GAUSSIAN, flow_steps), flow_steps):
            covariance = GAUSSIAN.covariance_at(t)
            deviation = covariance.diagonal().sqrt()
            mean_error = ((x.mean(0) - t * GAUSSIAN.mean) / deviation).abs().max()
            covariance_error = ((x.T.cov() - covariance) / torch.outer(deviation, deviation)).abs().max()
            errors[flow_steps] = max(errors[flow_steps], float(mean_error), float(covariance_error))
    noise = 3 * math.sqrt(2 / ROWS)  # three standard errors of a normalized covariance
    assert errors[200] < 0.06 + noise
    assert errors[200] < 0.4 * errors[50] + noise


@pytest.mark.slow
def test_mixture_marginals() -> None:
    generator = torch.Generator().manual_seed(1)
    shares: dict[int, list[float]] = {}
    for flow_steps in (25, 200):
        shares[flow_steps] = []
        for t, x in states(base_path(MIXTURE, flow_steps), flow_steps):
            x_t = t * MIXTURE.sample(ROWS, generator) + (1 - t) * torch.randn(ROWS, 2, generator=generator)
            shares[flow_steps].append(sliced_wasserstein(x, x_t) / float(x_t.std()))
    assert max(shares[200]) < 0.03  # two exact samples of this size are about 0.01 apart
    assert max(shares[200]) < 0.5 * max(shares[25])


def correlation(a: Tensor, b: Tensor) -> float:
    """Largest correlation between a coordinate of a and a coordinate of b."""
    return float(torch.corrcoef(torch.cat([a, b], -1).T)[:2, 2:].abs().max())


def test_ends_become_independent_unlike_those_of_the_ode() -> None:
    correlations = {}
    for flow_steps in (2, 10, 100):
        path = base_path(GAUSSIAN, flow_steps)
        correlations[flow_steps] = correlation(path.xs[0], path.x_1)
    assert correlations[10] < correlations[2]
    assert correlations[100] < 4 / math.sqrt(ROWS)
    x_0 = torch.randn(ROWS, 2, generator=torch.Generator().manual_seed(0))
    assert correlation(x_0, sample_flow(GAUSSIAN.velocity, x_0, 100)) > 0.9


def test_base_velocity_of_the_last_node_is_kept() -> None:
    path = base_path(MIXTURE, 10, rows=7)
    torch.testing.assert_close(path.base_velocity, MIXTURE.velocity(path.xs[-1], 0.9))


def test_states_carry_no_gradient_but_the_caller_may_keep_velocities() -> None:
    gain = torch.ones((), requires_grad=True)
    kept: list[Tensor] = []

    def velocity(x: Tensor, t: float | Tensor) -> Tensor:
        kept.append(gain * MIXTURE.velocity(x, t))
        return kept[-1]

    path = sample_memoryless(velocity, MIXTURE.velocity, torch.randn(5, 2), torch.randn(3, 5, 2), 4)
    assert not path.xs.requires_grad
    assert not path.x_1.requires_grad
    assert len(kept) == 3
    assert all(value.requires_grad for value in kept)


def test_leading_axes_equal_a_loop() -> None:
    x_0, noise = torch.randn(3, 2, 5, 2), torch.randn(9, 3, 2, 5, 2)
    together = sample_memoryless(MIXTURE.velocity, MIXTURE.velocity, x_0, noise, 10)
    assert together.xs.shape == (10, 3, 2, 5, 2)
    alone = sample_memoryless(MIXTURE.velocity, MIXTURE.velocity, x_0[2, 1], noise[:, 2, 1], 10)
    torch.testing.assert_close(alone.x_1, together.x_1[2, 1])
    torch.testing.assert_close(alone.xs, together.xs[:, 2, 1])
