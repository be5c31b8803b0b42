"""Losses of behavior cloning without a flow: squared distance and likelihood."""

from __future__ import annotations

from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["likelihood_loss", "squared_distance_loss"]


def squared_distance_loss(actions: Tensor, data: Tensor, valid: Tensor, name: str) -> tuple[Tensor, Metrics]:
    """Mean over rows of valid * ||pi(s) - a||^2 (sum over dimensions).

    Args:
        actions: (P, B, D), the policy's actions, with gradient.
        data: (P, B, D), the data's actions.
        valid: (P, B), 0 drops the row; the mean still divides by all rows.
        name: prefix of the metric.

    Returns:
        Loss (P,), metrics.

    Source: Fujimoto & Gu 2021 (TD3+BC); Tarasov et al. 2023 (ReBRAC).
    """
    loss = (valid * (actions - data).square().sum(-1)).mean(-1)
    return loss, lambda: {f"{name}/squared_distance": loss.detach()}


def likelihood_loss(log_prob: Tensor, weight: Tensor, name: str) -> tuple[Tensor, Metrics]:
    """Minus the mean over rows of weight * log pi(a | s).

    Args:
        log_prob: (P, B), log-probabilities of the data's actions, with gradient.
        weight: (P, B), row weights: `valid` or a multiple; the mean still divides by all rows.
        name: prefix of the metric.

    Returns:
        Loss (P,), metrics.

    Source: Li & Levine 2026, optional behavior-cloning term of RLPD.
    """
    loss = -(weight * log_prob).mean(-1)
    return loss, lambda: {f"{name}/likelihood_loss": loss.detach()}
