"""The three ways to start a run: fresh, resumed, or from another run's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from qam_torch.algorithms import Algorithm
from qam_torch.data.datamodule import TrainingData
from qam_torch.rundir.paths import RunPaths
from qam_torch.system.files import absolute
from qam_torch.training.fresh_directory import move_earlier_run_aside
from qam_torch.training.resume import ResumedStart
from qam_torch.training.schedule import Schedule
from qam_torch.training.warm_start import WarmStart

__all__ = ["FreshStart", "Start", "choose_start"]


class Start(Protocol):
    """How a run starts.

    Attributes:
        resumed: whether the run continues an earlier run in the same directory.
        step: number of steps made before the start.
        trainer_steps: number of trainer steps made before the start.
        offline_steps: number of steps of the offline phase.
    """

    resumed: bool
    step: int
    trainer_steps: int
    offline_steps: int

    def begin(
        self, paths: RunPaths, algorithm: Algorithm, data: TrainingData, description: Mapping[str, Any]
    ) -> Path | None:
        """Check the checkpoint, if there is one, and prepare the run directory.

        Args:
            paths: paths of the run directory.
            algorithm: algorithm of this run, not yet trained.
            data: data of this run.
            description: description of this run for its checkpoints, see `training.description.describe`.

        Returns:
            Path of the checkpoint from which the Trainer continues; None without a checkpoint.

        Raises:
            QamError: the checkpoint does not belong to this run or does not fit it.
        """
        ...


class FreshStart:
    """A start from newly initialized networks. The directory of an earlier run is renamed.

    Args:
        offline_steps: offline steps of the configuration.
    """

    resumed = False
    step = 0
    trainer_steps = 0

    def __init__(self, offline_steps: int) -> None:
        self.offline_steps = offline_steps

    def begin(
        self, paths: RunPaths, algorithm: Algorithm, data: TrainingData, description: Mapping[str, Any]
    ) -> Path | None:
        """See `Start.begin`."""
        move_earlier_run_aside(paths)
        return None


def choose_start(paths: RunPaths, schedule: Schedule, init_from: str | None, continues: bool) -> Start:
    """Select how a run starts, and read its checkpoint if it has one.

    Args:
        paths: paths of the run directory.
        schedule: the configured schedule.
        init_from: path of another run's checkpoint to start from; None for a start without a checkpoint.
        continues: whether to continue from the last checkpoint of an earlier run in the directory.

    Raises:
        QamError: the checkpoint cannot be used.
    """
    if continues and paths.last_checkpoint.is_file():
        return ResumedStart(paths, schedule.offline_steps, schedule.online_steps, warm=init_from is not None)
    if init_from is not None:
        return WarmStart(absolute(init_from))
    return FreshStart(schedule.offline_steps)
