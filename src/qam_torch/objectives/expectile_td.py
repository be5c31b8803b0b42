"""TD loss for expectile values of an ensemble, at actions or intermediate flow points."""

from __future__ import annotations

from torch import Tensor

from qam_torch.objectives.expectile import expectile_error
from qam_torch.objectives.td import td_metrics
from qam_torch.types import Metrics

__all__ = ["expectile_td_loss"]


def expectile_td_loss(q: Tensor, target: Tensor, valid: Tensor, kappa: float | Tensor) -> tuple[Tensor, Metrics]:
    """Mean over critics and rows of valid * |kappa - 1(y < Q)| (y - Q)^2.

    Args:
        q: (P, K, B), values of actions or of intermediate flow points x_t; with gradient.
        target: (P, B), TD target y, detached.
        valid: (P, B), 0 drops the row; the mean still divides by all rows.
        kappa: expectile, float or (P, 1, 1), in (0, 1); 1/2 gives half the squared error.

    Returns:
        The loss (P,), and its metrics.

    Source: Oberai, Park & Levine 2026, value loss; Kostrikov et al. 2022 (IQL) for the expectile.
    """
    loss = (valid.unsqueeze(-2) * expectile_error(target.unsqueeze(-2) - q, kappa)).mean((-2, -1))
    return loss, lambda: td_metrics(loss, q, target)
