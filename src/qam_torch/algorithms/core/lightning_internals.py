"""The private parts of Lightning's training loop that this library depends on.

tests/algorithms/test_lightning_internals.py fails when a new version of Lightning changes one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L

__all__ = ["continue_after_last_batch", "advance_global_step", "set_loader_step", "trainer_steps_in"]


def advance_global_step(trainer: L.Trainer, updates: int) -> None:
    """Advance `trainer.global_step`. Lightning itself counts only steps of its optimizer wrapper."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    for tracker in (progress.total, progress.current):
        tracker.ready += updates
        tracker.completed += updates


def _batch_progress(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    return checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]


def trainer_steps_in(checkpoint: Mapping[str, Any]) -> int:
    """Return the number of completed trainer steps in a checkpoint, without a step that was in progress."""
    progress = _batch_progress(checkpoint)["current"]
    return progress["ready"] if progress["processed"] == progress["ready"] else progress["completed"]


def continue_after_last_batch(checkpoint: Mapping[str, Any]) -> None:
    """Change the checkpoint of a finished run so that training can continue from it."""
    _batch_progress(checkpoint)["is_last_batch"] = False


def set_loader_step(checkpoint: Mapping[str, Any], step: int) -> None:
    """Set the data loader's step in a checkpoint. `ChunkLoader.load_state_dict` compares it with the data module's."""
    checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"] = [{"step": step}]
