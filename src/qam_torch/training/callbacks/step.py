"""The current step of a run, for callbacks."""

from __future__ import annotations

import lightning as L

__all__ = ["current_step"]


def current_step(trainer: L.Trainer) -> int:
    """Steps made so far, as counted by the data module. Lightning's `global_step` counts updates instead."""
    return trainer.datamodule.step  # type: ignore[attr-defined]
