"""A flow run backward: closed forms, its order of convergence, and the step forward."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from qam_torch.flows import euler_step, reverse_flow, reverse_path, sample_flow

X = torch.tensor([[1.0, -2.0], [0.5, 3.0], [4.0, 0.25]], dtype=torch.float64)
DEPTH = torch.tensor([[0.0], [0.3], [1.0]], dtype=torch.float64)


@pytest.mark.parametrize("steps", [1, 4])
def test_a_constant_velocity_is_reversed_exactly(steps: int) -> None:
    x, t = reverse_flow(lambda x, t: torch.full_like(x, 2.0), X, DEPTH, steps)
    torch.testing.assert_close(x, X - 2 * DEPTH, rtol=1e-14, atol=1e-14)
    assert torch.equal(t, 1 - DEPTH) and torch.equal(x[0], X[0])


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_a_linear_velocity_makes_every_step_of_every_row(steps: int) -> None:
    """v = 2 x: each of the T steps multiplies by 1 - 2 d / T, whatever d is."""
    x, _ = reverse_flow(lambda x, t: 2 * x, X, DEPTH, steps)
    torch.testing.assert_close(x, X * (1 - 2 * DEPTH / steps) ** steps, rtol=1e-13, atol=1e-13)


def test_the_velocity_is_taken_at_the_point_and_the_time_that_are_left() -> None:
    asked: list[Tensor] = []

    def velocity(x: Tensor, t: float | Tensor) -> Tensor:
        assert isinstance(t, Tensor)
        asked.append(t)
        return t * torch.ones_like(x)

    xs, ts = reverse_path(velocity, X, DEPTH, 2)
    torch.testing.assert_close(torch.stack(asked), ts[:-1], rtol=1e-15, atol=1e-15)
    torch.testing.assert_close(ts, torch.stack([1 - 0 * DEPTH, 1 - DEPTH / 2, 1 - DEPTH]), rtol=1e-15, atol=1e-15)
    torch.testing.assert_close(xs[1], X - DEPTH / 2, rtol=1e-15, atol=1e-15)
    torch.testing.assert_close(xs[2], X - DEPTH / 2 - DEPTH / 2 * (1 - DEPTH / 2), rtol=1e-15, atol=1e-15)
    assert torch.equal(xs[-1], reverse_flow(velocity, X, DEPTH, 2)[0])


def test_back_and_forth_returns_at_first_order() -> None:
    def velocity(x: Tensor, t: float | Tensor) -> Tensor:
        return torch.sin(x) + t

    errors = []
    for steps in (20, 40):
        noise, _ = reverse_flow(velocity, X, torch.ones(3, 1, dtype=torch.float64), steps)
        errors.append((sample_flow(velocity, noise, steps) - X).abs().max().item())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)


def test_a_step_forward_is_shortened_at_the_end() -> None:
    t = torch.tensor([[0.0], [0.75], [1.0]], dtype=torch.float64)
    x, later = euler_step(torch.full_like(X, 8.0), X, t, 2)
    assert later.flatten().tolist() == [0.5, 1, 1]
    torch.testing.assert_close(x - X, torch.tensor([[4.0], [2.0], [0.0]], dtype=torch.float64).expand(3, 2))
