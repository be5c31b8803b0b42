"""Flow matching: its minimizer in closed form, its gradient, and its axes."""

from __future__ import annotations

import torch
from closed_form import Gaussian, Mixture
from torch import Tensor

from qam_torch.flows import flow_matching_loss, interpolate
from qam_torch.types import Velocity

MEANS = torch.tensor([[1.5, 0.0], [-1.0, 1.0], [0.0, -1.5]], dtype=torch.float64)
MIXTURE = Mixture(MEANS, 0.3)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_interpolation_runs_from_noise_to_data() -> None:
    x_0, x_1 = normal(5, 2, seed=1), normal(5, 2, seed=2)
    assert torch.equal(interpolate(x_0, x_1, torch.zeros(5, 1, dtype=torch.float64)), x_0)
    torch.testing.assert_close(interpolate(x_0, x_1, torch.ones(5, 1, dtype=torch.float64)), x_1)
    quarter = torch.full((5, 1), 0.25, dtype=torch.float64)
    torch.testing.assert_close(interpolate(x_0, x_1, quarter), 0.75 * x_0 + 0.25 * x_1)


def test_closed_form_velocity_is_stationary_and_minimal() -> None:
    n = 100_000
    x_1 = MIXTURE.sample(n, torch.Generator().manual_seed(3))
    x_0, t = normal(n, 2, seed=4), uniform(n, 1, seed=5)

    def loss(scale: float, direction: Velocity) -> float:
        return float(flow_matching_loss(lambda x, t: MIXTURE.velocity(x, t) + scale * direction(x, t), x_0, x_1, t))

    directions: list[Velocity] = [
        lambda x, t: torch.ones_like(x),
        lambda x, t: x,
        lambda x, t: x.flip(-1) * t,
        lambda x, t: (3 * x).sin(),
    ]
    for direction in directions:
        upper, middle, lower = loss(0.1, direction), loss(0.0, direction), loss(-0.1, direction)
        assert middle < upper
        assert middle < lower
        # The loss is quadratic in the scale, so its slope and curvature at the closed form are exact differences.
        slope, curvature = (upper - lower) / 0.2, (upper + lower - 2 * middle) / 0.01
        assert abs(slope / curvature) < 0.02


def test_gaussian_is_a_mixture_of_one() -> None:
    mean = torch.tensor([0.5, -1.0], dtype=torch.float64)
    gaussian = Gaussian(mean, 0.09 * torch.eye(2, dtype=torch.float64))
    x, t = normal(50, 2), 0.37
    torch.testing.assert_close(gaussian.velocity(x, t), Mixture(mean[None], 0.3).velocity(x, t))


def test_gradient_equals_finite_differences() -> None:
    x_0, x_1, t, weight = normal(6, 2, seed=1), normal(6, 2, seed=2), uniform(6, 1), uniform(6, seed=6)

    def loss(gain: Tensor, offset: Tensor) -> Tensor:
        return flow_matching_loss(lambda x, t: (x @ gain + offset * t).tanh(), x_0, x_1, t, weight)

    assert torch.autograd.gradcheck(loss, (normal(2, 2).requires_grad_(), normal(2, seed=7).requires_grad_()))


def test_leading_axes_equal_a_loop() -> None:
    x_0, x_1, t = normal(3, 4, 5, 2, seed=1), normal(3, 4, 5, 2, seed=2), uniform(3, 4, 5, 1)
    weight = (uniform(3, 4, 5, seed=8) < 0.7).double()
    together = flow_matching_loss(MIXTURE.velocity, x_0, x_1, t, weight)
    assert together.shape == (3, 4)
    for i in range(3):
        for j in range(4):
            rows = (a[i, j] for a in (x_0, x_1, t, weight))
            torch.testing.assert_close(flow_matching_loss(MIXTURE.velocity, *rows), together[i, j])


def test_a_weight_of_zero_drops_the_row_but_still_divides_by_all() -> None:
    x_0, x_1, t = normal(4, 2, seed=1), normal(4, 2, seed=2), uniform(4, 1)
    weight = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    kept = flow_matching_loss(MIXTURE.velocity, x_0[::2], x_1[::2], t[::2])
    torch.testing.assert_close(flow_matching_loss(MIXTURE.velocity, x_0, x_1, t, weight), kept / 2)
