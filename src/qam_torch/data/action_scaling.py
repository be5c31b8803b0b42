"""Scaling of recorded actions to [-1, 1], the range of a policy's actions."""

from __future__ import annotations

import numpy as np

from qam_torch.types import QamError

__all__ = ["unit_actions"]

_SLACK = 1e-5
"""Accepted distance of an action beyond a bound, which can result from rounding, relative to high - low."""


def unit_actions(actions: np.ndarray, low: np.ndarray, high: np.ndarray, source: str) -> np.ndarray:
    """Scale actions from the bounds of an environment to [-1, 1].

    Args:
        actions: (N, A), finite and within the bounds.
        low: lower bounds (A,), finite.
        high: upper bounds (A,), finite.
        source: name of the data, for error messages.

    Returns:
        (N, A) float32 in [-1, 1].

    Raises:
        QamError: actions are outside the bounds (the message gives the first such row) or have the wrong size.
    """
    if actions.ndim != 2 or actions.shape[1] != len(low):
        raise QamError(
            f"{source}: 'actions' has shape {actions.shape}, expected (N, {len(low)}), because the "
            f"environment's actions have size {len(low)}: use a dataset of this environment"
        )
    slack = _SLACK * (high - low)
    outside = ((actions < low - slack) | (actions > high + slack)).any(axis=1)
    if outside.any():
        row = int(np.argmax(outside))
        raise QamError(
            f"{source}: 'actions' exceeds the environment's bounds, first in row {row} ({_as_text(actions[row])}, "
            f"expected {_as_text(low)} to {_as_text(high)}): save the actions that the environment "
            "received, or clip them"
        )
    return np.clip((actions - (low + high) / 2) / ((high - low) / 2), -1.0, 1.0).astype(np.float32)


def _as_text(values: np.ndarray) -> str:
    """The first four numbers as text."""
    return f"[{', '.join(f'{value:g}' for value in values[:4])}{', ...' if len(values) > 4 else ''}]"
