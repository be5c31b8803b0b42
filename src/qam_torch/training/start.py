"""The three ways in which a run can start: fresh, resumed, or from another run's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from omegaconf import DictConfig

from qam_torch.algorithms import Algorithm
from qam_torch.data.datamodule import TrainingData
from qam_torch.rundir.paths import RunPaths
from qam_torch.system.files import absolute
from qam_torch.training.finished_run import uses_earlier_run
from qam_torch.training.fresh_directory import move_earlier_run_aside
from qam_torch.training.resume import ResumedStart
from qam_torch.training.warm_start import WarmStart

__all__ = ["FreshStart", "Start", "choose_start"]


class Start(Protocol):
    """Where a run starts.

    Attributes:
        resumed: whether the run continues an earlier one in the same directory.
        step: steps made before.
        trainer_steps: trainer steps made before.
        offline_steps: length of the offline phase, None where the configuration decides.
    """

    resumed: bool
    step: int
    trainer_steps: int
    offline_steps: int | None

    def begin(
        self, paths: RunPaths, algorithm: Algorithm, data: TrainingData, description: Mapping[str, Any]
    ) -> Path | None:
        """Prepare the run directory, once everything has been checked.

        Args:
            paths: of the run directory.
            algorithm: of this run, not yet trained.
            data: of this run.
            description: of this run, as its checkpoints contain it.

        Returns:
            The checkpoint that the Trainer continues from, None where there is none.

        Raises:
            QamError: the checkpoint does not belong to this run.
        """
        ...


class FreshStart:
    """Start from newly initialized networks; an earlier run in the directory is kept beside it."""

    resumed = False
    step = 0
    trainer_steps = 0
    offline_steps: int | None = None

    def begin(
        self, paths: RunPaths, algorithm: Algorithm, data: TrainingData, description: Mapping[str, Any]
    ) -> Path | None:
        """See `Start.begin`."""
        move_earlier_run_aside(paths)
        return None


def choose_start(config: DictConfig, paths: RunPaths) -> Start:
    """How a run starts; reads the checkpoint where there is one.

    Raises:
        QamError: the checkpoint cannot be used.
    """
    if uses_earlier_run(config) and paths.last_checkpoint.is_file():
        return ResumedStart(paths, config.offline_steps, config.online_steps, warm=config.init_from is not None)
    if config.init_from is not None:
        return WarmStart(absolute(config.init_from))
    return FreshStart()
