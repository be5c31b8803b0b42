"""Continue a run from the last checkpoint in its directory, e.g. with `resume=auto`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.lightning_internals import trainer_steps_in
from qam_torch.data.datamodule import TrainingData
from qam_torch.rundir.checkpoints import SECTION, read_checkpoint, require_same_run
from qam_torch.rundir.paths import RunPaths
from qam_torch.types import QamError

__all__ = ["ResumedStart"]


class ResumedStart:
    """A start from the last checkpoint of the run directory; see `training.start.Start`.

    Args:
        paths: paths of the run directory.
        offline_steps: offline steps of the configuration.
        online_steps: online steps of the configuration.
        warm: whether the run began from another run's checkpoint, which replaces the offline phase.

    Raises:
        QamError: the checkpoint is damaged, or does not fit the configured numbers of steps.
    """

    resumed = True

    def __init__(self, paths: RunPaths, offline_steps: int, online_steps: int, warm: bool) -> None:
        self.path = paths.last_checkpoint
        self._content: dict[str, Any] | None = read_checkpoint(self.path)
        section = self._content[SECTION]
        self.step: int = section["step"]
        self.trainer_steps = trainer_steps_in(self._content)
        made: int = section["offline_steps"]
        # If the run began from another run's checkpoint, the length of its offline phase is in the checkpoint.
        self.offline_steps: int = made if warm else offline_steps
        online, updates = self.step - made, min(self.step, made)
        if not warm and updates > offline_steps:
            raise QamError(
                f"checkpoint '{self.path}' has {updates} updates but offline_steps={offline_steps}: give at "
                "least as many"
            )
        if online > 0 and not warm and updates != offline_steps:
            raise QamError(
                f"checkpoint '{self.path}' is past its offline_steps={updates} but this run has "
                f"offline_steps={offline_steps}: give the same"
            )
        if online > online_steps:
            raise QamError(
                f"checkpoint '{self.path}' has {online} environment steps but online_steps={online_steps}: "
                "give at least as many"
            )

    def begin(
        self, paths: RunPaths, algorithm: Algorithm, data: TrainingData, description: Mapping[str, Any]
    ) -> Path | None:
        """Check that the checkpoint belongs to this run; see `Start.begin`."""
        assert self._content is not None
        require_same_run(self.path, self._content, description)
        algorithm.require_loadable(self._content)
        self._content = None  # free its memory: it is as large as all networks and the optimizer's state
        return self.path
