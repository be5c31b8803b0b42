"""Learn the soft value of noisy actions x_t from the values of the clean actions."""

from __future__ import annotations

import torch
from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["LINEAR_ABOVE", "linex_loss"]

LINEAR_ABOVE = 5.0
"""Scaled error above which the linex loss is linear, so that no single row dominates the batch."""

MAX_EXPONENT = 80.0
"""Exponent limit of the diagnostic against float32 overflow."""


def linex_loss(noisy_q: Tensor, q: Tensor, valid: Tensor, inv_temp: float | Tensor) -> tuple[Tensor, Metrics]:
    """Mean over critics and rows: valid * (exp(d) + inv_temp Q(s, x_t, t)), d = inv_temp (Q(s, a, 1) - Q(s, x_t, t)).

    Its minimizer is the soft value log E exp(inv_temp Q(s, a, 1)) / inv_temp: exact for guidance. Where d > 5
    the row's loss is d alone, without the second term, as in the reference. So the loss jumps there and its
    slope in Q(s, x_t, t) falls from inv_temp (e^5 - 1) to inv_temp.

    Args:
        noisy_q: (P, K, B), Q(s, x_t, t), with gradient.
        q: (P, K, B), Q(s, a, 1), detached.
        valid: (P, B), 0 drops the row; the mean still divides by all rows.
        inv_temp: float or (P, 1, 1), > 0.

    Returns:
        (P,), metrics; exp_bias is the mean of exp(inv_temp Q(s, x_t, t)) - exp(inv_temp Q(s, a, 1)), 0 at the minimum.

    Source: Li & Levine 2026, CGQL-L.
    """
    error = inv_temp * (q - noisy_q)
    # Clamped where the other branch is taken: an infinite exponent would turn its zero gradient into NaN.
    row = torch.where(error > LINEAR_ABOVE, error, error.clamp(max=LINEAR_ABOVE).exp() + inv_temp * noisy_q)
    loss = (valid.unsqueeze(-2) * row).mean((-2, -1))

    def metrics() -> dict[str, Tensor]:
        soft = [(inv_temp * values.detach()).clamp(max=MAX_EXPONENT).exp() for values in (noisy_q, q)]
        return {"noisy_critic/loss": loss.detach(), "noisy_critic/exp_bias": (soft[0] - soft[1]).mean((-2, -1))}

    return loss, metrics
