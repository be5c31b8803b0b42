"""Regression of one value function on another."""

from __future__ import annotations

from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["value_regression"]


def value_regression(value: Tensor, q: Tensor, valid: Tensor | None, name: str) -> tuple[Tensor, Metrics]:
    """Compute the mean over critics and rows of valid * (V - Q)^2.

    Args:
        value: (P, K, B), or (P, 1, B) to learn the mean over critics, with gradient.
        q: (P, K, B), detached.
        valid: (P, B), 0 drops the row; None keeps all rows. The mean still divides by all rows.
        name: prefix of the metric.

    Returns:
        Loss (P,), metrics.

    Source: Li & Levine 2026: the state value of FAWAC, the noisy critic of CGQL-M, the latent critic of DSRL.
    """
    error = (value - q).square()
    loss = (error if valid is None else valid.unsqueeze(-2) * error).mean((-2, -1))
    return loss, lambda: {f"{name}/loss": loss.detach()}
