"""The step of a run, as callbacks read it."""

from __future__ import annotations

import lightning as L

__all__ = ["current_step"]


def current_step(trainer: L.Trainer) -> int:
    """Steps made so far. Only the data module counts them; Lightning's own counter is the number of updates."""
    return trainer.datamodule.step  # type: ignore[attr-defined]
