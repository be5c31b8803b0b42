"""Advantage weights: better actions of the data are imitated more strongly."""

from __future__ import annotations

from torch import Tensor

__all__ = ["MAX_WEIGHT", "advantage_weights"]

MAX_WEIGHT = 100.0
"""Largest weight of a row."""


def advantage_weights(q: Tensor, value: Tensor, inv_temp: float | Tensor) -> Tensor:
    """Compute the weights min(exp(inv_temp (Q(s, a) - V(s))), 100).

    Args:
        q: (P, B), action values Q(s, a), detached.
        value: (P, B), state values V(s), detached.
        inv_temp: float or (P, 1), > 0.

    Returns:
        Weights (P, B).

    Source: Peng et al. 2019 (advantage-weighted regression). The limit is that of Li & Levine 2026, FAWAC.
    """
    return (inv_temp * (q - value)).exp().clamp(max=MAX_WEIGHT)
