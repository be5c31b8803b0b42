"""Learn the soft value of noisy actions x_t from the values of the clean actions."""

from __future__ import annotations

import torch
from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["LINEAR_ABOVE", "linex_loss"]

LINEAR_ABOVE = 5.0
"""Scaled error d above which the linex loss is linear, so that no single row dominates the batch."""

MAX_EXPONENT = 80.0
"""Largest exponent in the metric exp_bias, so that float32 does not overflow."""


def linex_loss(noisy_q: Tensor, q: Tensor, valid: Tensor, inv_temp: float | Tensor) -> tuple[Tensor, Metrics]:
    """Compute the mean over critics and rows of valid * (exp(d) + inv_temp Q(s, x_t, t)).

    Here d = inv_temp (Q(s, a, 1) - Q(s, x_t, t)). The minimizer of this loss is the soft value
    log E exp(inv_temp Q(s, a, 1)) / inv_temp, which makes the guidance exact. If d > 5, the row's loss is only d, as in
    the reference. The loss is therefore discontinuous at d = 5: the magnitude of its slope in Q(s, x_t, t) falls there
    from inv_temp (e^5 - 1) to inv_temp.

    Args:
        noisy_q: (P, K, B), Q(s, x_t, t), with gradient.
        q: (P, K, B), Q(s, a, 1), detached.
        valid: (P, B), 0 drops the row. The mean still divides by all rows.
        inv_temp: float or (P, 1, 1), > 0.

    Returns:
        Loss (P,), metrics. The metric exp_bias is the mean of exp(inv_temp Q(s, x_t, t)) - exp(inv_temp Q(s, a, 1)),
        which is 0 at the minimizer.

    Source: Li & Levine 2026, CGQL-L.
    """
    error = inv_temp * (q - noisy_q)
    # Without the clamp, an infinite exponential in the branch that is not selected would make the gradient NaN.
    row = torch.where(error > LINEAR_ABOVE, error, error.clamp(max=LINEAR_ABOVE).exp() + inv_temp * noisy_q)
    loss = (valid.unsqueeze(-2) * row).mean((-2, -1))

    def metrics() -> dict[str, Tensor]:
        soft = [(inv_temp * values.detach()).clamp(max=MAX_EXPONENT).exp() for values in (noisy_q, q)]
        return {"noisy_critic/loss": loss.detach(), "noisy_critic/exp_bias": (soft[0] - soft[1]).mean((-2, -1))}

    return loss, metrics
