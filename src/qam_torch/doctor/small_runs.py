"""Small runs of Lightning's Trainer on made-up transitions."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from qam_torch.algorithms import Algorithm
from qam_torch.data.datamodule import TrainingData
from qam_torch.data.transitions import Transitions
from qam_torch.doctor.small_updates import ACTION_DIM, OBSERVATION_DIM, ROWS, small_algorithm
from qam_torch.training.trainer import build_trainer, quiet_lightning, train

__all__ = ["SmallRun", "small_run"]

STEPS_EACH = 4


class SmallRun(NamedTuple):
    """What a run leaves.

    Attributes:
        algorithm: after training; Lightning has put it back on the CPU.
        state: its parameters, on the CPU.
        checkpoint: of the last update.
    """

    algorithm: Algorithm
    state: dict[str, Tensor]
    checkpoint: Path


def small_run(
    device: torch.device, updates: int, checkpoint: Path, start: Path | None = None, capture: bool | str = "auto"
) -> SmallRun:
    """Train QAM.

    Args:
        device: where.
        updates: at which the run ends, a multiple of `STEPS_EACH`.
        checkpoint: file to write at the end.
        start: checkpoint to continue from.
        capture: as the key `capture`.
    """
    quiet_lightning()
    algorithm = small_algorithm("qam", torch.device("cpu"), capture)
    data = TrainingData(
        transitions=_transitions(device),
        horizon_length=algorithm.horizon_length,
        discount=0.99,
        batch_size=ROWS,
        seeds=algorithm.seeds,
        plan=lambda done: min(STEPS_EACH, updates - done),
        num_steps=updates // STEPS_EACH,
    )
    index = [device.index or 0] if device.type == "cuda" else 1
    trainer = build_trainer("gpu" if device.type == "cuda" else "cpu", index)
    train(trainer, algorithm, data, start)
    trainer.save_checkpoint(checkpoint)
    state = {name: value.detach().cpu().clone() for name, value in algorithm.state_dict().items()}
    return SmallRun(algorithm, state, checkpoint)


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
