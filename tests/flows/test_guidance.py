"""Guidance: the gradient of a value, and the velocity of a score."""

from __future__ import annotations

import torch

from qam_torch.flows import guidance_velocity, sample_flow, value_gradient


def test_value_gradient_is_row_by_row() -> None:
    x = torch.randn(3, 4, 2, dtype=torch.float64)
    curvature = torch.tensor([1.0, 3.0], dtype=torch.float64)
    gradient = value_gradient(lambda a: -0.5 * (curvature * a.square()).sum(-1), x)
    torch.testing.assert_close(gradient, -curvature * x)


def test_the_guidance_of_a_gaussians_own_score_is_its_flow() -> None:
    """For data N(0, s^2) the marginal at t is N(0, t^2 s^2 + (1 - t)^2), whose score gives the flow's velocity."""
    std, t, x = 0.4, 0.3, torch.randn(5, 1, dtype=torch.float64)
    variance = t**2 * std**2 + (1 - t) ** 2
    velocity = guidance_velocity(-x / variance, x, t, inv_temp=1.0)
    expected = x * (t * std**2 - (1 - t)) / variance
    torch.testing.assert_close(velocity, expected)


def test_guidance_with_a_quadratic_value_by_hand() -> None:
    x = torch.tensor([[2.0]])
    gradient = value_gradient(lambda a: -(a - 1).square().sum(-1), x)  # - 2 (x - 1)
    assert guidance_velocity(gradient, x, 0.5, inv_temp=3.0).item() == ((1 - 0.5) * 3 * -2 + 2) / 0.5
    assert guidance_velocity(gradient, x, 1.0, inv_temp=3.0).item() == 2  # at t = 1 the value has no say


def test_more_inverse_temperature_gets_nearer_the_best_action() -> None:
    """A flow that stands still, guided up -(a - 0.5)^2, in the steps of a flow."""

    def end(inv_temp: float) -> float:
        def velocity(x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
            if float(t) == 0:
                return torch.zeros_like(x)
            return 0.3 * guidance_velocity(-2 * (x - 0.5), x, float(t), inv_temp)

        return sample_flow(velocity, torch.zeros(1, dtype=torch.float64), 10).item()

    distances = [abs(end(inv_temp) - 0.5) for inv_temp in (0.1, 0.5, 1.0)]
    assert distances[0] > distances[1] > distances[2]
