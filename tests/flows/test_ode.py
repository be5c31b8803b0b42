"""Flow solvers: orders of convergence on problems with an exact solution, and agreement with torchdiffeq."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from closed_form import Gaussian
from torch import Tensor
from torchdiffeq import odeint

from qam_torch.flows import integrate, integrate_path, sample_flow
from qam_torch.flows.ode import FIXED_GRID_METHODS
from qam_torch.types import QamError

STD = torch.tensor([0.4, 0.7], dtype=torch.float64)
FLOW = Gaussian(torch.tensor([0.5, -1.0], dtype=torch.float64), STD.square().diag())
X_0 = torch.randn(64, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
X_1 = FLOW.mean + STD * X_0  # with a diagonal covariance the flow is X_t = t m + sqrt(C_t) X_0


def observed_order(error: Callable[[int], float], steps: int) -> float:
    """log2 of the factor by which the error falls when the step is halved."""
    return math.log2(error(steps) / error(2 * steps))


def logistic(x: Tensor, t: float | Tensor) -> Tensor:
    """dx/dt = 2 t x (1 - x)."""
    return 2 * t * x * (1 - x)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("midpoint", 2), ("heun2", 2), ("heun3", 3), ("rk4", 4)])
def test_order_of_convergence(method: str, order: int) -> None:
    start = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)[:, None]
    end = 1 / (1 + (1 / start - 1) * math.exp(-1))

    def error(steps: int) -> float:
        return float((sample_flow(logistic, start, steps, method) - end).abs().max())

    assert observed_order(error, 32) == pytest.approx(order, abs=0.2)


def test_euler_reaches_the_gaussian_at_first_order() -> None:
    def error(steps: int) -> float:
        return float((sample_flow(FLOW.velocity, X_0, steps) - X_1).abs().max())

    assert observed_order(error, 64) == pytest.approx(1, abs=0.2)
    assert error(512) < 0.01


@pytest.mark.parametrize("tolerance", [1e-6, 1e-8])
def test_dopri5_reaches_its_tolerance(tolerance: float) -> None:
    end = sample_flow(FLOW.velocity, X_0, 1, "dopri5", rtol=tolerance, atol=tolerance)
    assert float((end - X_1).abs().max()) < 10 * tolerance


def test_path_keeps_every_node_and_ends_where_integrate_ends() -> None:
    def field(t: float, x: Tensor) -> Tensor:
        return FLOW.velocity(x, t)

    path = integrate_path(field, X_0, 200)
    assert path.shape == (201, 64, 2)
    assert torch.equal(path[0], X_0)
    torch.testing.assert_close(path[-1], integrate(field, X_0, 200), rtol=0, atol=1e-14)
    middle = 0.5 * FLOW.mean + FLOW.covariance_at(0.5).diagonal().sqrt() * X_0
    assert float((path[100] - middle).abs().max()) < 0.02


@pytest.mark.parametrize("method", list(FIXED_GRID_METHODS))
def test_integrate_equals_odeint(method: str) -> None:
    flow = Gaussian(FLOW.mean.float(), FLOW.covariance.float())

    def field(t: float, x: Tensor) -> Tensor:
        return flow.velocity(x, float(t))  # odeint gives a tensor

    expected = odeint(field, X_0.float(), torch.linspace(0, 1, 11), method=method)
    assert float((integrate_path(field, X_0.float(), 10, method) - expected).abs().max()) < 5e-7
    assert float((integrate(field, X_0.float(), 10, method) - expected[-1]).abs().max()) < 5e-7
    assert integrate(field, X_0.float(), 10, method).dtype == torch.float32


def test_euler_is_the_plain_sum() -> None:
    x = X_0
    for i in range(7):
        x = x + FLOW.velocity(x, i / 7) / 7
    torch.testing.assert_close(sample_flow(FLOW.velocity, X_0, 7), x, rtol=0, atol=1e-14)


def test_any_leading_axes() -> None:
    stacked = sample_flow(FLOW.velocity, X_0.view(4, 8, 2, 2), 5)
    torch.testing.assert_close(stacked.view(64, 2), sample_flow(FLOW.velocity, X_0, 5), rtol=0, atol=1e-14)


@pytest.mark.parametrize("flow_steps", [0, -3])
def test_no_steps_is_refused(flow_steps: int) -> None:
    with pytest.raises(QamError, match=f"flow_steps={flow_steps} .*at least 1"):
        sample_flow(FLOW.velocity, X_0, flow_steps)


def test_unknown_method_is_refused_with_the_known_ones() -> None:
    with pytest.raises(QamError, match="'eulr'.*euler, midpoint"):
        integrate(lambda t, x: x, X_0, 5, "eulr")


def test_a_misspelt_method_is_refused_by_name() -> None:
    with pytest.raises(QamError, match="unknown solver method 'eulr'.*euler"):
        sample_flow(lambda x, t: -x, torch.zeros(1, 2), 4, method="eulr")
