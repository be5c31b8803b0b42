"""Write metrics of training, collection and evaluation to metrics.csv and Lightning's loggers."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import Logger

from qam_torch.algorithms import Algorithm
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rundir.checkpoints import SECTION
from qam_torch.rundir.metrics_file import MetricsFile
from qam_torch.training.callbacks.divergence import DivergenceCallback
from qam_torch.training.callbacks.evaluation import EvaluationCallback
from qam_torch.training.callbacks.step import current_step
from qam_torch.training.schedule import Schedule
from qam_torch.training.wall_time import WallTime
from qam_torch.types import QamError

__all__ = ["MetricsCallback"]


class MetricsCallback(L.Callback):
    """Writes one row per member and log event, and the same values to the loggers.

    Loggers get the mean of each metric over members, and with several members also each member's value. Other callbacks
    find the same values in `trainer.callback_metrics`.

    Args:
        schedule: the run's schedule.
        evaluation: the run's evaluation callback. Its latest outcome is written to the row of the same step.
        divergence: masks the training metrics of members that have diverged.
        file: metrics.csv.
        loggers: Lightning loggers.
        wall_time: the run's wall time.
        collection_statistics: returns name -> (P,), means over the episodes that were collected since the last call.
    """

    def __init__(
        self,
        schedule: Schedule,
        evaluation: EvaluationCallback,
        divergence: DivergenceCallback,
        file: MetricsFile,
        loggers: Sequence[Logger],
        wall_time: WallTime,
        collection_statistics: Callable[[], dict[str, np.ndarray]] = dict,
    ) -> None:
        self.schedule, self.evaluation, self.divergence = schedule, evaluation, divergence
        self.file, self.loggers, self.wall_time = file, loggers, wall_time
        self.collection_statistics = collection_statistics

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write a row if the run has begun with an evaluation."""
        assert isinstance(pl_module, Algorithm)
        step = current_step(trainer)
        if self.evaluation.evaluated_at == step:
            self._write(trainer, pl_module, step)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write a row if one is due, and after an evaluation."""
        assert isinstance(pl_module, Algorithm)
        step = current_step(trainer)
        due = self.schedule.due_at(step)
        if due.evaluation or due.log:
            self._write(trainer, pl_module, step)

    def _write(self, trainer: L.Trainer, algorithm: Algorithm, step: int) -> None:
        schedule, phase = self.schedule, self.schedule.phase(step)
        metrics: dict[str, np.ndarray] = {}
        self.divergence.report(algorithm)
        # Metrics of an update are written once. Online steps before start_training make no updates.
        if schedule.updates(step) > schedule.updates(max(0, step - schedule.num_envs)):
            metrics |= {name: self.divergence.masked(value) for name, value in algorithm.metrics.items()}
        if phase == "online":
            metrics |= self.collection_statistics()
        if self.evaluation.latest is not None and self.evaluation.evaluated_at == step:
            metrics |= _evaluation_metrics(self.evaluation.latest)
        place = {"step": step, "phase": phase, "update": schedule.updates(step)}
        rows = {**metrics, **self.divergence.columns(algorithm.members)}
        self.file.write(place, self.wall_time.seconds, rows)
        logged = _for_loggers(metrics, algorithm)
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in logged.items()})
        if schedule.online_steps:
            logged |= {"phase/online": float(phase == "online"), "phase/update": float(schedule.updates(step))}
        try:
            for logger in self.loggers:
                logger.log_metrics(logged, step=step)
        except OSError as error:  # TensorBoard's writer reports an error one step later
            self.loggers = ()
            raise QamError(f"could not write the logger's events ({error}): free some disk space") from error

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the metrics of the last update if an evaluation is running, because their row is not written yet."""
        assert isinstance(pl_module, Algorithm)
        if self.evaluation.running:
            unwritten = {name: value.detach().clone() for name, value in pl_module.metrics.items()}
            checkpoint.setdefault(SECTION, {})["metrics"] = unwritten

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the metrics of a row that is not written yet."""
        assert isinstance(pl_module, Algorithm)
        pl_module.metrics = dict(checkpoint[SECTION].get("metrics", {}))

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Finish the files of the loggers."""
        for logger in self.loggers:
            logger.finalize("success")

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Finish the loggers' files as far as possible."""
        for logger in self.loggers:
            with contextlib.suppress(Exception):  # report the exception that ended training, not one of a logger
                logger.finalize("failed")


def _evaluation_metrics(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """Columns (P,) of an evaluation: the standard ones, then the custom metrics."""
    custom = evaluation.custom()
    values = {name: value for name, value in evaluation.by_member().items() if name not in custom}
    values["seconds"] = np.full(len(evaluation.returns), evaluation.seconds)
    return {f"evaluation/{name}": value for name, value in {**values, **custom}.items()}


def _for_loggers(metrics: Mapping[str, np.ndarray], algorithm: Algorithm) -> dict[str, float]:
    """The mean of each metric over members without NaN and, with several members, each member's value."""
    flat = {name: float(np.nanmean(value)) for name, value in metrics.items() if not np.isnan(value).all()}
    if algorithm.members > 1:
        plain = not algorithm.member_values
        names = [f"seed{s}" if plain else algorithm.name_of(p) for p, s in enumerate(algorithm.seeds)]
        for name, value in metrics.items():
            by_member = zip(names, value.tolist(), strict=True)
            flat |= {f"{name}/{member}": v for member, v in by_member if not math.isnan(v)}
    return flat
