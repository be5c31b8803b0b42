"""Recorded actions in the units that policies act in."""

from __future__ import annotations

import numpy as np

from qam_torch.types import QamError

__all__ = ["unit_actions"]

_SLACK = 1e-5
"""Share of a bound's distance from the other by which rounding may have carried an action over it."""


def unit_actions(actions: np.ndarray, low: np.ndarray, high: np.ndarray, source: str) -> np.ndarray:
    """Scale an environment's actions to [-1, 1].

    actions    (N, A)  in the environment's box, finite
    low, high  (A,)    the box's bounds, finite
    source     what the actions belong to, for the error's sentence
    ->         (N, A) float32 in [-1, 1]

    Raises QamError, with the first row, for actions outside the box or of another size.
    """
    if actions.ndim != 2 or actions.shape[1] != len(low):
        raise QamError(
            f"{source}: 'actions' has shape {actions.shape}, expected (N, {len(low)}), the size that the environment "
            "takes: use the data that belong to this environment"
        )
    slack = _SLACK * (high - low)
    outside = ((actions < low - slack) | (actions > high + slack)).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        raise QamError(
            f"{source}: 'actions' leaves the environment's bounds, first in row {row} ({_told(actions[row])}, expected "
            f"{_told(low)} to {_told(high)}): record what the environment was given, or clip it"
        )
    return np.clip((actions - (low + high) / 2) / ((high - low) / 2), -1.0, 1.0).astype(np.float32)


def _told(values: np.ndarray) -> str:
    """The first few numbers."""
    return f"[{', '.join(f'{value:g}' for value in values[:4])}{', ...' if len(values) > 4 else ''}]"
