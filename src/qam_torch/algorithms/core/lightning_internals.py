"""The few private parts of Lightning's training loop that this library depends on, in one place.

tests/algorithms/test_lightning_internals.py fails when a new version of Lightning changes one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L

__all__ = ["continue_after_last_batch", "advance_global_step", "set_loader_step", "trainer_steps_in"]


def advance_global_step(trainer: L.Trainer, updates: int) -> None:
    """Advance `trainer.global_step`, which Lightning counts from the steps of its own optimizer wrapper."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    for tracker in (progress.total, progress.current):
        tracker.ready += updates
        tracker.completed += updates


def _batch_progress(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    return checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]


def trainer_steps_in(checkpoint: Mapping[str, Any]) -> int:
    """Completed trainer steps in a checkpoint; a step in progress when it was saved does not count."""
    progress = _batch_progress(checkpoint)["current"]
    return progress["ready"] if progress["processed"] == progress["ready"] else progress["completed"]


def continue_after_last_batch(checkpoint: Mapping[str, Any]) -> None:
    """Let a run that had reached its end continue to a later one."""
    _batch_progress(checkpoint)["is_last_batch"] = False


def set_loader_step(checkpoint: Mapping[str, Any], step: int) -> None:
    """Set the state of the data loader, which `ChunkLoader.load_state_dict` compares with the data module's."""
    checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"] = [{"step": step}]
