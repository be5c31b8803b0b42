"""The losses of the methods QAM is compared with, against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from qam_torch.objectives import (
    advantage_weights,
    denoising_loss,
    expectile_loss,
    likelihood_loss,
    linex_loss,
    normalized_value_maximization,
    path_control_loss,
    score_ascent_loss,
    score_matching_loss,
    squared_distance_loss,
    value_maximization,
    value_regression,
)

S = torch.zeros(1, 2, 1)


def test_expectile_weighs_values_below_the_data_by_kappa_and_above_it_by_the_rest() -> None:
    value, q = torch.tensor([[0.0, 3.0]], requires_grad=True), torch.tensor([[2.0, 1.0]])
    loss, metrics = expectile_loss(value, q, 0.9)
    assert loss.item() == pytest.approx((0.9 * 4 + 0.1 * 4) / 2)
    assert metrics()["value/v_max"].item() == 3
    (gradient,) = torch.autograd.grad(loss.sum(), value)
    torch.testing.assert_close(gradient, torch.tensor([[-1.8, 0.2]]))
    half, _ = expectile_loss(value, q, 0.5)
    assert half.item() == pytest.approx((value - q).square().mean().item() / 2)


@pytest.mark.slow
def test_the_minimizer_of_the_expectile_loss_is_the_expectile() -> None:
    q = torch.tensor([0.0, 1.0, 2.0, 10.0])
    for kappa in (0.5, 0.9):
        grid = torch.linspace(0, 10, 10_001)
        losses = torch.stack([expectile_loss(v.expand(1, 4), q[None], kappa)[0][0] for v in grid])
        v = grid[losses.argmin()]
        above, below = (q - v).clamp(min=0).sum(), (v - q).clamp(min=0).sum()
        assert kappa * above.item() == pytest.approx((1 - kappa) * below.item(), abs=0.01)


def test_advantage_weights_are_cut_at_a_hundred() -> None:
    q, value = torch.tensor([[1.0, 0.0, 100.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    weights = advantage_weights(q, value, 2.0)
    torch.testing.assert_close(weights, torch.tensor([[math.e**2, math.e**-2, 100.0]]))


def test_value_regression_by_hand() -> None:
    value, q = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[0.0, 2.0], [3.0, 5.0]]])
    assert value_regression(value, q, None, "v")[0].item() == pytest.approx((1 + 0 + 4 + 9) / 4)
    loss, metrics = value_regression(value, q, torch.tensor([[1.0, 0.0]]), "v")
    assert loss.item() == pytest.approx((1 + 4) / 4) and metrics()["v/loss"].item() == loss.item()


def test_linex_by_hand_on_both_sides_of_its_bend() -> None:
    """d <= 5: exp(d) + inv_temp Q_noisy. d > 5: d itself, without the second summand: the recorded behavior."""
    noisy = torch.tensor([[[0.0, 1.0, 0.0]]], requires_grad=True)
    q, valid = torch.tensor([[[1.0, 1.0, 4.0]]]), torch.ones(1, 3)
    loss, _ = linex_loss(noisy, q, valid, 2.0)
    assert loss.item() == pytest.approx((math.exp(2) + (1 + 2) + 8) / 3)
    (gradient,) = torch.autograd.grad(loss.sum(), noisy)
    torch.testing.assert_close(gradient, torch.tensor([[[-2 * math.exp(2) + 2, 0.0, -2.0]]]) / 3)


def test_linex_of_a_hopeless_row_has_a_finite_gradient() -> None:
    noisy = torch.full((1, 1, 1), -1e4, requires_grad=True)
    loss, metrics = linex_loss(noisy, torch.full((1, 1, 1), 1e4), torch.ones(1, 1), 10.0)
    (gradient,) = torch.autograd.grad(loss.sum(), noisy)
    assert gradient.item() == -10 and metrics()["noisy_critic/exp_bias"].isfinite()


def test_the_minimizer_of_linex_is_the_soft_value() -> None:
    """Also what `exp_bias` measures: it is zero there."""
    q, inv_temp = torch.tensor([[[-1.0, 0.0, 0.5]]], dtype=torch.float64), 1.5
    soft = (inv_temp * q).exp().mean().log() / inv_temp
    noisy = soft.expand(1, 1, 3).clone().requires_grad_()
    loss, metrics = linex_loss(noisy, q, torch.ones(1, 3), inv_temp)
    (gradient,) = torch.autograd.grad(loss.sum(), noisy)
    assert gradient.sum().item() == pytest.approx(0, abs=1e-12)
    assert metrics()["noisy_critic/exp_bias"].item() == pytest.approx(0, abs=1e-12)


def two_critics(s: Tensor, a: Tensor) -> Tensor:
    return torch.stack([a.sum(-1), 3 * a.sum(-1)], dim=-2)  # mean 2 a, population std |a|


def test_pessimistic_and_normalized_ascent() -> None:
    actions = torch.tensor([[[1.0], [0.5]]], requires_grad=True)
    loss, _ = value_maximization(two_critics, S, actions, "x", rho=0.5)
    assert loss.item() == pytest.approx(-(1.5 + 0.75) / 2)
    normalized, _ = normalized_value_maximization(two_critics, S, actions, "x", rho=0.5)
    assert normalized.item() == pytest.approx(-1)
    gradients = [torch.autograd.grad(one.sum(), actions)[0] for one in (loss, normalized)]
    torch.testing.assert_close(gradients[1], gradients[0] / 1.125)  # the magnitude is a constant


def test_cloning_losses_sum_over_dimensions_and_drop_invalid_rows() -> None:
    actions, valid = torch.tensor([[[1.0, 1.0], [5.0, 5.0]]]), torch.tensor([[1.0, 0.0]])
    assert squared_distance_loss(actions, torch.zeros(1, 2, 2), valid, "x")[0].item() == pytest.approx(2 / 2)
    assert likelihood_loss(torch.tensor([[-3.0, -9.0]]), valid, "x")[0].item() == pytest.approx(3 / 2)


def test_denoising_and_score_losses_by_hand() -> None:
    predicted, noise = torch.tensor([[[1.0, 2.0]]], requires_grad=True), torch.zeros(1, 1, 2)
    gradient, valid = torch.tensor([[[1.0, -1.0]]]), torch.ones(1, 1)
    assert denoising_loss(predicted, noise, valid, "x")[0].item() == pytest.approx(2.5)
    assert score_matching_loss(predicted, gradient, 2.0, valid, "x")[0].item() == pytest.approx((9 + 0) / 2)
    level = torch.full((1, 1, 1), 0.5)
    assert score_ascent_loss(predicted, gradient, level, valid, "x")[0].item() == pytest.approx((0.5 - 1) / 2)


@pytest.mark.parametrize("loss_of", ["matching", "ascent"])
def test_a_row_that_is_not_valid_adds_the_constant_one_to_the_score_losses(loss_of: str) -> None:
    """The recorded behavior of QSM and DAC; no gradient comes of it."""
    predicted, gradient = torch.ones(1, 2, 3, requires_grad=True), torch.full((1, 2, 3), 2.0)

    def loss(valid: Tensor) -> Tensor:
        if loss_of == "matching":
            return score_matching_loss(predicted, gradient, 1.0, valid, "x")[0]
        return score_ascent_loss(predicted, gradient, torch.ones(1, 2, 1), valid, "x")[0]

    whole, half, none = (loss(torch.tensor([valid])) for valid in ([1.0, 1.0], [1.0, 0.0], [0.0, 0.0]))
    assert none.item() == 1 and half.item() == pytest.approx((whole.item() + 1) / 2)
    gradients = [torch.autograd.grad(one.sum(), predicted)[0] for one in (whole, half, none)]
    torch.testing.assert_close(gradients[1][:, 0], gradients[0][:, 0])
    assert not gradients[1][:, 1].any() and not gradients[2].any()


def test_path_control_by_hand() -> None:
    """T = 2, f_theta = 2, f_beta = 0, no noise: X_1 = X_0 + dt (4 - X_0 / dt) = 2, one control of 2 * 4 / sigma_0^2.

    So neither is X_1 clipped, nor does the last step cost anything, nor is the energy multiplied by dt.
    """
    gain = torch.ones((), requires_grad=True)
    loss, metrics = path_control_loss(
        lambda x, t: gain * torch.full_like(x, 2.0),
        lambda x, t: torch.zeros_like(x),
        lambda x: 5 * x.sum(-1),
        torch.zeros(1, 3, 1),
        torch.zeros(1, 1, 3, 1),
        flow_steps=2,
        inv_temp=2.0,
    )
    sigma_squared = 2 * (1 - 0 + 0.5) / 0.5
    energy = 2 * 4 / sigma_squared
    assert loss.item() == pytest.approx(energy - 2 * 5 * 2)
    assert metrics()["control/energy"].item() == pytest.approx(energy, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss.sum(), gain)  # d/dg of g^2 energy - 20 g: through the path, too
    assert gradient.item() == pytest.approx(2 * energy - 20)


def test_path_control_of_a_residual_flow_pays_for_the_correction_alone() -> None:
    normal = torch.randn(1, 3, 2, dtype=torch.float64)
    noise = torch.randn(3, 1, 3, 2, dtype=torch.float64)
    base, own = (lambda x, t: -x), (lambda x, t: 0.3 * x + t)
    cost = {"value": lambda x: x.square().sum(-1), "x_0": normal, "noise": noise, "flow_steps": 4, "inv_temp": 1.0}
    residual, _ = path_control_loss(own, base, residual=True, **cost)
    whole, _ = path_control_loss(lambda x, t: own(x, t) + base(x, t), base, **cost)
    torch.testing.assert_close(residual, whole)
