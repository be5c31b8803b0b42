"""Run Lightning's Trainer briefly on random transitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from torch import Tensor

from qam_torch.data.datamodule import TrainingData
from qam_torch.data.transitions import Transitions
from qam_torch.doctor.small_updates import ACTION_DIM, OBSERVATION_DIM, ROWS, small_algorithm
from qam_torch.training.trainer import build_trainer, quiet_lightning, train

__all__ = ["SmallRun", "small_run"]

UPDATES, STEPS_EACH = 24, 4


class SmallRun(NamedTuple):
    """The results of a run.

    Attributes:
        state: parameters after the run, on the CPU.
        checkpoint: path of the checkpoint from the middle of the run.
    """

    state: dict[str, Tensor]
    checkpoint: Path


class _Save(L.Callback):
    """Saves a checkpoint after `step` trainer steps."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx + 1 == self.step:
            trainer.save_checkpoint(self.path)


def small_run(device: torch.device, directory: Path, start: Path | None = None) -> SmallRun:
    """Train QAM for `UPDATES` updates.

    Args:
        device: device of the training.
        directory: directory for the checkpoint.
        start: checkpoint of another small run, which this run continues; None starts from initial parameters.
    """
    quiet_lightning()
    algorithm = small_algorithm("qam", torch.device("cpu"), capture="auto")
    data = TrainingData(
        transitions=_transitions(device),
        horizon_length=algorithm.horizon_length,
        discount=0.99,
        batch_size=ROWS,
        seeds=algorithm.seeds,
        plan=lambda done: min(STEPS_EACH, UPDATES - done),
        num_steps=UPDATES // STEPS_EACH,
    )
    index = [device.index or 0] if device.type == "cuda" else 1
    trainer = build_trainer("gpu" if device.type == "cuda" else "cpu", index)
    middle = directory / "middle.ckpt"
    trainer.callbacks.append(_Save(UPDATES // STEPS_EACH // 2, middle))  # type: ignore[attr-defined]
    train(trainer, algorithm, data, start)
    return SmallRun({name: value.detach().cpu().clone() for name, value in algorithm.state_dict().items()}, middle)


def _transitions(device: torch.device) -> Transitions:
    generator = np.random.default_rng(0)
    rows = 400
    arrays = {
        "observations": generator.normal(size=(rows, OBSERVATION_DIM)),
        "actions": generator.uniform(-1, 1, (rows, ACTION_DIM)),
        "terminals": np.arange(rows) % 50 == 49,
    }
    count = rows - rows // 50
    return Transitions.from_ogbench(arrays, -np.ones(count), np.ones(count), device, torch.float64)
