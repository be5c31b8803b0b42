"""Random numbers that do not depend on how updates are grouped into calls."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["draw_each_update"]


def draw_each_update(updates: int, draw: Callable[[], Tensor]) -> Tensor:
    """Draw random numbers with one call per update.

    On a GPU, the numbers depend on how they are divided into calls. One call for several updates would draw others.

    Args:
        updates: number of updates U, at least 1.
        draw: draws the numbers of one update, (...).

    Returns:
        (U, ...).
    """
    return torch.stack([draw() for _ in range(updates)])
