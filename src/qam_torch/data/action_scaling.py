"""Scaling of recorded actions to [-1, 1], the range in which policies act."""

from __future__ import annotations

import numpy as np

from qam_torch.types import QamError

__all__ = ["unit_actions"]

_SLACK = 1e-5
"""Share of a bound's distance from the other by which rounding may have carried an action over it."""


def unit_actions(actions: np.ndarray, low: np.ndarray, high: np.ndarray, source: str) -> np.ndarray:
    """Scale actions from the bounds of an environment to [-1, 1].

    Args:
        actions: (N, A), within the bounds, finite.
        low: lower bounds (A,), finite.
        high: upper bounds (A,), finite.
        source: what the actions belong to, for error messages.

    Returns:
        (N, A) float32 in [-1, 1].

    Raises:
        QamError: actions are outside the bounds (with the first such row) or of another size.
    """
    if actions.ndim != 2 or actions.shape[1] != len(low):
        raise QamError(
            f"{source}: 'actions' has shape {actions.shape}, expected (N, {len(low)}), the size of the "
            "environment's actions: use the dataset that belongs to this environment"
        )
    slack = _SLACK * (high - low)
    outside = ((actions < low - slack) | (actions > high + slack)).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        raise QamError(
            f"{source}: 'actions' leaves the environment's bounds, first in row {row} ({_shown(actions[row])}, "
            f"expected {_shown(low)} to {_shown(high)}): record what the environment received, or clip it"
        )
    return np.clip((actions - (low + high) / 2) / ((high - low) / 2), -1.0, 1.0).astype(np.float32)


def _shown(values: np.ndarray) -> str:
    """The first few numbers."""
    return f"[{', '.join(f'{value:g}' for value in values[:4])}{', ...' if len(values) > 4 else ''}]"
