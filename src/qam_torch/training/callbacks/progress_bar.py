"""The progress bar of a run."""

from __future__ import annotations

import sys
from typing import Any

import lightning as L
from tqdm import tqdm

from qam_torch.training.callbacks.evaluation import EvaluationCallback
from qam_torch.training.callbacks.step import current_step
from qam_torch.training.schedule import Schedule

__all__ = ["ProgressBarCallback"]


class ProgressBarCallback(L.Callback):
    """Shows progress and the latest evaluation on standard error, if that is a terminal.

    Args:
        schedule: the run's schedule.
        evaluation: the run's evaluation callback.
    """

    def __init__(self, schedule: Schedule, evaluation: EvaluationCallback) -> None:
        self.schedule, self.evaluation = schedule, evaluation
        self.bar: tqdm | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Open the bar at the step at which the run starts or resumes."""
        self.bar = tqdm(
            total=self.schedule.steps,
            initial=current_step(trainer),
            unit=" steps" if self.schedule.online_steps else " updates",
            dynamic_ncols=True,
            disable=None if sys.stderr.isatty() else True,
            smoothing=0.05,
        )
        self.bar.set_postfix_str(self.evaluation.headline)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance the bar."""
        if self.bar is not None:
            step = current_step(trainer)
            if self.evaluation.evaluated_at == step:
                self.bar.set_postfix_str(self.evaluation.headline)
            self.bar.update(step - self.bar.n)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the terminal is in order."""
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()
