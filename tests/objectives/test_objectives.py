"""Losses against numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from qam_torch.objectives import (
    adjoint_matching,
    behavior_loss,
    distillation_loss,
    entropy_loss,
    matching_targets,
    pessimistic_value,
    td_loss,
    td_target,
    temperature_loss,
    value_maximization,
)


def test_pessimistic_value_by_hand() -> None:
    q = torch.tensor([[[1.0, 2.0], [3.0, 2.0]]])  # mean (2, 2), population std (1, 0)
    torch.testing.assert_close(pessimistic_value(q, 0.5), torch.tensor([[1.5, 2.0]]))
    torch.testing.assert_close(pessimistic_value(q, 0.0), torch.tensor([[2.0, 2.0]]))


def test_td_target_bootstraps_only_where_the_mask_is_one() -> None:
    y = td_target(torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 0.0]), torch.tensor([-10.0, -10.0]), 0.5)
    assert y.tolist() == [-6.0, -2.0]


def test_td_loss_divides_by_all_rows_and_drops_invalid_ones() -> None:
    q = torch.tensor([[[1.0, 5.0], [3.0, 7.0]]], requires_grad=True)  # (P, K, B)
    target, valid = torch.tensor([[0.0, 100.0]]), torch.tensor([[1.0, 0.0]])
    loss, metrics = td_loss(lambda s, a: q, torch.zeros(1, 2, 1), torch.zeros(1, 2, 1), target, valid)
    assert loss.tolist() == [(1 + 9) / 4]
    (gradient,) = torch.autograd.grad(loss.sum(), q)
    assert gradient.tolist() == [[[0.5, 0.0], [1.5, 0.0]]]
    named = metrics()
    assert (named["critic/q_mean"].item(), named["critic/q_max"].item(), named["critic/q_min"].item()) == (4, 7, 1)


def test_behavior_loss_is_zero_for_the_true_velocity_and_ignores_invalid_rows() -> None:
    actions, x_0 = torch.rand(1, 4, 2), torch.randn(1, 4, 2)
    t = torch.rand(1, 4, 1)
    perfect, _ = behavior_loss(lambda x, t: actions - x_0, actions, x_0, t, torch.ones(1, 4))
    off = torch.tensor([[0.0, 0.0, 2.0, 0.0]]).unsqueeze(-1)
    wrong, _ = behavior_loss(lambda x, t: actions - x_0 + off, actions, x_0, t, torch.ones(1, 4))
    dropped, _ = behavior_loss(lambda x, t: actions - x_0 + off, actions, x_0, t, torch.tensor([[1.0, 1.0, 0.0, 1.0]]))
    torch.testing.assert_close(torch.cat([perfect, wrong, dropped]), torch.tensor([0.0, 1.0, 0.0]))


def test_policy_losses_by_hand() -> None:
    actions = torch.tensor([[[0.5], [1.0]]], requires_grad=True)
    climb, _ = value_maximization(lambda s, a: (3 * a).transpose(-1, -2), torch.zeros(1, 2, 1), actions, "x")
    assert climb.item() == pytest.approx(-2.25)
    distilled, _ = distillation_loss(actions, torch.zeros(1, 2, 1), "x")
    assert distilled.item() == pytest.approx((0.25 + 1) / 2)


def test_entropy_term_moves_the_policy_and_temperature_loss_the_temperature() -> None:
    alpha = torch.tensor([2.0], requires_grad=True)
    log_prob = torch.tensor([[-1.0, -3.0]], requires_grad=True)
    loss, metrics = entropy_loss(alpha, log_prob, "edit")
    assert loss.item() == -4.0 and metrics()["edit/entropy"].item() == 2.0
    assert torch.autograd.grad(loss.sum(), [alpha, log_prob], allow_unused=True)[0] is None
    loss, _ = temperature_loss(alpha, log_prob, target_entropy=-1.5, name="edit")
    assert loss.item() == pytest.approx(2 * (2.0 + 1.5))
    gradients = torch.autograd.grad(loss.sum(), [alpha, log_prob], allow_unused=True)
    assert gradients[0].item() == pytest.approx(3.5) and gradients[1] is None


def test_matching_makes_no_forward_pass_twice() -> None:
    calls = {"f_theta": 0, "f_beta": 0, "f_beta_rows": 0}

    def counted(name: str):
        def velocity(x: torch.Tensor, t: object) -> torch.Tensor:
            calls[name] += 1
            calls["f_beta_rows"] += x.shape[0] if x.ndim == 4 else 0
            return -x

        return velocity

    steps = 6
    matching_targets(
        counted("f_theta"),
        counted("f_beta"),
        lambda a: a.sum(-1),
        torch.randn(1, 3, 2),
        torch.randn(steps - 1, 1, 3, 2),
        steps,
        1.0,
    )
    # f_theta once a node; f_beta once at the last node, once for all other nodes in one batch, and once a node at
    # the later time t + dt of the lean adjoint.
    assert calls == {"f_theta": steps, "f_beta": 1 + 1 + steps, "f_beta_rows": steps - 1}


@pytest.mark.parametrize("residual", [True, False])
def test_matching_at_once_is_the_same(residual: bool) -> None:
    steps, found = 4, []
    x_0, noise = torch.randn(1, 3, 2).double(), torch.randn(steps - 1, 1, 3, 2).double()
    for batched_nodes in (False, True):
        weight = torch.full((2,), 0.3, dtype=torch.float64, requires_grad=True)
        f_theta = lambda x, t, weight=weight: (x * weight).tanh() + t  # noqa: E731
        targets = matching_targets(
            f_theta,
            lambda x, t: t - x.sin(),
            lambda a: a.sum(-1),
            x_0,
            noise,
            steps,
            1.0,
            residual,
            batched_nodes=batched_nodes,
        )
        loss, _ = adjoint_matching(targets)
        found.append((*targets, loss, *torch.autograd.grad(loss.sum(), weight)))
    for kept, batched_nodes in zip(*found, strict=True):
        torch.testing.assert_close(batched_nodes, kept, rtol=1e-12, atol=1e-12)
