"""Save the last and the best checkpoint of a run."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.lightning_internals import continue_after_last_batch
from qam_torch.envs.pool import EnvironmentFailure
from qam_torch.rundir.checkpoints import SECTION
from qam_torch.rundir.metrics_file import MetricsFile
from qam_torch.rundir.paths import RunPaths
from qam_torch.system.signals import Ending, Terminated
from qam_torch.training.callbacks.divergence import require_finite_parameters
from qam_torch.training.callbacks.evaluation import EvaluationCallback
from qam_torch.training.callbacks.step import current_step
from qam_torch.training.schedule import Schedule
from qam_torch.training.wall_time import WallTime
from qam_torch.types import QamError

__all__ = ["CheckpointCallback"]


class CheckpointCallback(L.Callback):
    """Saves last.ckpt at the scheduled steps, and best.ckpt after each evaluation that is the best so far.

    Args:
        schedule: the run's schedule.
        evaluation: the run's evaluation callback.
        paths: paths of the run directory.
        metrics: metrics.csv, whose rows after a checkpoint are dropped when the run resumes from it.
        wall_time: the run's wall time.
        description: the run's description, see `rundir.checkpoints.require_same_run`.
        ending: signal handling. If a signal has arrived, the run ends after the checkpoint is saved.

    Attributes:
        saved_step: step of the last checkpoint; None before the first checkpoint.
    """

    def __init__(
        self,
        schedule: Schedule,
        evaluation: EvaluationCallback,
        paths: RunPaths,
        metrics: MetricsFile,
        wall_time: WallTime,
        description: Mapping[str, Any],
        ending: Ending,
    ) -> None:
        self.schedule, self.evaluation, self.paths = schedule, evaluation, paths
        self.metrics, self.wall_time, self.description = metrics, wall_time, dict(description)
        self.ending = ending
        self.saved_step: int | None = None
        self._repeats_evaluation = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save the initial policy if its evaluation is the best so far. Save again if an evaluation was repeated."""
        self._save_best(trainer, pl_module)
        if self._repeats_evaluation:
            self._save(trainer, pl_module, self.paths.last_checkpoint)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save if a checkpoint is due, if another callback has stopped the run, or if a signal ends the run."""
        self._save_best(trainer, pl_module)
        step = current_step(trainer)
        if self.schedule.due_at(step).checkpoint or trainer.should_stop or self.ending.due:
            self._save(trainer, pl_module, self.paths.last_checkpoint)
            self.saved_step = step
        self.ending.check()

    def describe_saved(self) -> str:
        """Describe the last checkpoint, for messages."""
        if self.saved_step is None:
            return "none was saved yet"
        return f"{self.paths.last_checkpoint} ({self.schedule.place(self.saved_step)})"

    def _save_best(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if self.evaluation.improved_at == current_step(trainer):
            self._save(trainer, module, self.paths.best_checkpoint)

    def _save(self, trainer: L.Trainer, module: L.LightningModule, path: Path) -> None:
        """Save a checkpoint after freezing members with non-finite parameters, or raise DivergedError.

        The last gradient was finite, but its step may have been too large.
        """
        assert isinstance(module, Algorithm)
        require_finite_parameters(module)
        trainer.save_checkpoint(path)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Save if an environment failed or a signal interrupted an evaluation. Both happen between two updates.

        If the checkpoint is saved during an evaluation, a run that continues from it repeats the evaluation.
        """
        terminated = isinstance(exception, Terminated) and self.evaluation.running
        if isinstance(exception, EnvironmentFailure) or terminated:
            with contextlib.suppress(QamError):  # the original error is reported
                self._save(trainer, pl_module, self.paths.last_checkpoint)
                self.saved_step = current_step(trainer)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the section that describes the run and its progress."""
        assert isinstance(pl_module, Algorithm)
        checkpoint.setdefault(SECTION, {}).update(
            self.description,
            step=current_step(trainer),
            offline_steps=self.schedule.offline_steps,
            update=trainer.global_step,
            seconds=self.wall_time.seconds,
            diverged=pl_module.divergence.diverged_at(),
        )

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the wall time and the step, and delete the rows of metrics.csv after that step."""
        section = checkpoint[SECTION]
        self.wall_time.start(section["seconds"])
        self.saved_step = section["step"]
        self._repeats_evaluation = section.get("evaluating", False)
        self.metrics.restart(section["step"])
        continue_after_last_batch(checkpoint)
