"""The losses of RQL against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from qam_torch.flows import flow_matching_loss, interpolate
from qam_torch.objectives import chunk_matching_loss, expectile_td_loss, flow_step_value_loss


def test_expectile_td_weighs_values_below_the_target_by_kappa_and_drops_rows() -> None:
    q = torch.tensor([[[0.0, 3.0, 9.0], [2.0, 1.0, 9.0]]], requires_grad=True)
    target, valid = torch.tensor([[2.0, 2.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]])
    loss, metrics = expectile_td_loss(q, target, valid, 0.9)
    assert loss.item() == pytest.approx((0.9 * 4 + 0.1 * 1 + 0 + 0.9 * 1) / 6)
    assert metrics()["critic/q_max"].item() == 9 and metrics()["critic/target_mean"].item() == pytest.approx(4 / 3)
    (gradient,) = torch.autograd.grad(loss.sum(), q)
    torch.testing.assert_close(gradient, torch.tensor([[[-3.6, 0.2, 0.0], [0.0, -1.8, 0.0]]]) / 6)


def test_step_matching_weighs_each_step_of_each_row() -> None:
    x_0, x_1 = torch.zeros(1, 2, 4), torch.tensor([[[1.0, 1, 2, 2], [3, 3, 4, 4]]])
    velocity = torch.zeros(1, 2, 4, requires_grad=True)
    weight = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])
    loss, metrics = chunk_matching_loss(velocity, x_0, x_1, weight)
    assert loss.item() == pytest.approx((1 + 1 + 9 + 9 + 16 + 16) / 8) == metrics()["behavior/loss"].item()
    (gradient,) = torch.autograd.grad(loss.sum(), velocity)
    assert (gradient[0, 0, 2:] == 0).all() and (gradient[0, 0, :2] != 0).all()


def test_one_weight_per_row_is_ordinary_flow_matching() -> None:
    x_0, x_1, t = torch.randn(2, 5, 6), torch.randn(2, 5, 6), torch.rand(2, 5, 1)
    weight = torch.tensor([1.0, 0, 1, 1, 0]).expand(2, 5)
    expected = flow_matching_loss(lambda x, t: x * t, x_0, x_1, t, weight)
    loss, _ = chunk_matching_loss(interpolate(x_0, x_1, t) * t, x_0, x_1, weight.unsqueeze(-1))
    torch.testing.assert_close(loss, expected)


def test_step_value_is_minus_the_mean_value_of_the_rows_that_count() -> None:
    q = torch.tensor([[[1.0, 5.0], [3.0, 9.0]]])
    loss, metrics = flow_step_value_loss(q, torch.tensor([[1.0, 0.0]]))
    assert loss.item() == pytest.approx(-2 / 2)
    assert {name: value.item() for name, value in metrics().items()} == {
        "policy/q_loss": -1, "policy/q_mean": 4.5, "policy/q_max": 7, "policy/q_min": 2
    }  # fmt: skip
