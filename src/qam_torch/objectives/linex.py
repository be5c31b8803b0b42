"""Teach a critic the soft value of half-denoised actions, from the values of the actions they come from."""

from __future__ import annotations

import torch
from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["LINEAR_BEYOND", "linex_loss"]

LINEAR_BEYOND = 5.0
"""Scaled error from which on the linex loss is linear, so that no single row's exponential rules the batch."""

LARGEST_EXPONENT = 80.0
"""Of the diagnostic, which would else be infinite in float32."""


def linex_loss(noisy_q: Tensor, q: Tensor, valid: Tensor, inv_temp: float | Tensor) -> tuple[Tensor, Metrics]:
    """Mean over critics and rows of valid (exp(d) + inv_temp Q(s, x_t, t)), d = inv_temp (Q(s, a, 1) - Q(s, x_t, t)).

    Its minimiser is the soft value log E exp(inv_temp Q(s, a, 1)) / inv_temp, the exact one for guidance. Where d > 5
    the row's loss is d itself, without the second summand: the recorded behavior. So the loss jumps there and its
    slope in Q(s, x_t, t) falls from inv_temp (e^5 - 1) to inv_temp.

    Args:
        noisy_q: (P, K, B), Q(s, x_t, t), with gradient.
        q: (P, K, B), Q(s, a, 1), constants.
        valid: (P, B), 0 drops the row; the mean still divides by all rows.
        inv_temp: float or (P, 1, 1), > 0.

    Returns:
        (P,), metrics; exp_bias is the mean of exp(inv_temp Q(s, x_t, t)) - exp(inv_temp Q(s, a, 1)), 0 at the minimum.

    Source: Li & Levine 2026, CGQL-L.
    """
    error = inv_temp * (q - noisy_q)
    # The exponent is cut where the other branch is taken, as an infinite one would make its zero gradient a NaN.
    row = torch.where(error > LINEAR_BEYOND, error, error.clamp(max=LINEAR_BEYOND).exp() + inv_temp * noisy_q)
    loss = (valid.unsqueeze(-2) * row).mean((-2, -1))

    def metrics() -> dict[str, Tensor]:
        soft = [(inv_temp * values.detach()).clamp(max=LARGEST_EXPONENT).exp() for values in (noisy_q, q)]
        return {"noisy_critic/loss": loss.detach(), "noisy_critic/exp_bias": (soft[0] - soft[1]).mean((-2, -1))}

    return loss, metrics
