"""The three ways in which a run can start: fresh, resumed, or from another run's checkpoint."""

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
    """Where a run starts.

    Attributes:
        resumed: whether the run continues an earlier one in the same directory.
        step: steps made before.
        trainer_steps: trainer steps made before.
        offline_steps: length of the offline phase.
    """

    resumed: bool
    step: int
    trainer_steps: int
    offline_steps: int

    def begin(
        self, paths: RunPaths, algorithm: Algorithm, data: TrainingData, description: Mapping[str, Any]
    ) -> Path | None:
        """Prepare the run directory, once everything has been checked.

        Args:
            paths: paths of the run directory.
            algorithm: algorithm of this run, not yet trained.
            data: data of this run.
            description: description of this run, as its checkpoints contain it.

        Returns:
            The checkpoint that the Trainer continues from, None where there is none.

        Raises:
            QamError: the checkpoint does not belong to this run.
        """
        ...


class FreshStart:
    """Start from newly initialized networks; an earlier run in the directory is kept beside it.

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
    """How a run starts; reads the checkpoint where there is one.

    Args:
        paths: paths of the run directory.
        schedule: as configured.
        init_from: the checkpoint of another run to start from.
        continues: whether a checkpoint that an earlier run has left in the directory is used.

    Raises:
        QamError: the checkpoint cannot be used.
    """
    if continues and paths.last_checkpoint.is_file():
        return ResumedStart(paths, schedule.offline_steps, schedule.online_steps, warm=init_from is not None)
    if init_from is not None:
        return WarmStart(absolute(init_from))
    return FreshStart(schedule.offline_steps)
