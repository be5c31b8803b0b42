"""Weights by advantage: imitate the better actions of the data more."""

from __future__ import annotations

from torch import Tensor

__all__ = ["MAX_WEIGHT", "advantage_weights"]

MAX_WEIGHT = 100.0
"""Upper limit of the weight of a row."""


def advantage_weights(q: Tensor, value: Tensor, inv_temp: float | Tensor) -> Tensor:
    """min(exp(inv_temp (Q(s, a) - V(s))), 100).

    Args:
        q: (P, B), detached.
        value: (P, B), detached.
        inv_temp: float or (P, 1), > 0.

    Returns:
        (P, B).

    Source: Peng et al. 2019 (advantage-weighted regression); the limit follows Li & Levine 2026, FAWAC.
    """
    return (inv_temp * (q - value)).exp().clamp(max=MAX_WEIGHT)
