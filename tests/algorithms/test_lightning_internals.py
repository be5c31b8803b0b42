"""The private parts of Lightning's loop that algorithms/core/lightning_internals.py uses."""

from __future__ import annotations

import lightning as L
import pytest

from qam_torch.algorithms.core.lightning_internals import (
    advance_global_step,
    continue_after_last_batch,
    set_loader_step,
    trainer_steps_in,
)

MOVED = (
    "Lightning's loop has changed: adapt qam_torch/algorithms/core/lightning_internals.py, or pin an earlier lightning"
)


@pytest.fixture
def trainer() -> L.Trainer:
    return L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)


def test_global_step_is_the_number_of_updates(trainer: L.Trainer) -> None:
    before = trainer.global_step
    try:
        advance_global_step(trainer, 7)
    except AttributeError as error:
        pytest.fail(f"{MOVED} ({error})")
    if trainer.lightning_module is None:  # without a module, Lightning reads the counter of automatic optimization
        progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
        assert (before, progress.total.completed) == (0, 7), MOVED


def test_a_checkpoint_has_the_counters_that_a_resumed_run_reads(trainer: L.Trainer) -> None:
    checkpoint = {"loops": {"fit_loop": trainer.fit_loop.state_dict()}}
    assert "epoch_loop.batch_progress" in checkpoint["loops"]["fit_loop"], MOVED
    assert "state_dict" in checkpoint["loops"]["fit_loop"], MOVED
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    assert {"ready", "processed", "completed"} <= progress["current"].keys() and "is_last_batch" in progress, MOVED
    progress["current"].update(ready=5, processed=4, completed=4)
    assert trainer_steps_in(checkpoint) == 4
    progress["current"].update(processed=5)
    assert trainer_steps_in(checkpoint) == 5, "saved at the end of a trainer step, in its callbacks"
    progress["is_last_batch"] = True
    continue_after_last_batch(checkpoint)
    assert not progress["is_last_batch"]
    set_loader_step(checkpoint, 12)
    assert checkpoint["loops"]["fit_loop"]["state_dict"]["combined_loader"] == [{"step": 12}]
