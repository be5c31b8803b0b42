"""Random numbers that do not depend on how updates are grouped into calls."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["each_update"]


def each_update(updates: int, draw: Callable[[], Tensor]) -> Tensor:
    """Draw the numbers of one update at a time.

    A GPU's generator advances by calls and not by numbers, so that one call for all updates would draw others.

    Args:
        updates: U, at least 1.
        draw: the numbers of one update, (...).

    Returns:
        (U, ...).
    """
    return torch.stack([draw() for _ in range(updates)])
