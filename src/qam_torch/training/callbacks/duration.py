"""Estimate how long a run will take from the time of its first updates."""

from __future__ import annotations

import time
from typing import Any

import lightning as L
from tqdm import tqdm

from qam_torch.system.console import readable_time
from qam_torch.training.callbacks.step import current_step
from qam_torch.training.schedule import Schedule

__all__ = ["DurationCallback"]

TIMED = 2.0
"""Seconds of training that are timed for the estimate."""

SHORT = 10.0
"""If the estimate is below this number of seconds, it is not printed."""


class DurationCallback(L.Callback):
    """Times trainer steps and prints one line with the estimated duration. It acts after all other callbacks.

    The first trainer step with updates is not timed, because the update is recorded or compiled in this step. Trainer
    steps without updates, and those with an evaluation or a checkpoint, are not timed either.

    Args:
        schedule: the run's schedule.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.printed = False
        self._start = 0
        self._since: tuple[float, int, int] | None = None
        self._seconds, self._updates, self._steps = 0.0, 0, 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Store the step at which the run starts or continues."""
        self._start = current_step(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Time the trainer step that has just ended. Print the estimate after `TIMED` seconds."""
        if self.printed:
            return
        before, now = self._since, (time.perf_counter(), trainer.global_step, current_step(trainer))
        self._since, due = now, self.schedule.due_at(now[2])
        if before is None or before[1] in (0, now[1]) or due.evaluation or due.checkpoint:
            return
        self._seconds += now[0] - before[0]
        self._updates += now[1] - before[1]
        self._steps += now[2] - before[2]
        if self._seconds >= TIMED:
            self.printed = True
            self._print_estimate(now[2])

    def _print_estimate(self, step: int) -> None:
        """Print the duration from the start of the run to its end.

        It is the duration of all updates after the start. If the run is in its online phase, it is the duration of all
        environment steps after the start.
        """
        schedule, start, besides = self.schedule, self._start, "evaluations"
        if schedule.phase(step) == "offline":
            count = schedule.updates(schedule.steps) - schedule.updates(start)
            each, what = self._seconds / self._updates, "updates"
            besides += " and steps in the environment" if schedule.online_steps else ""
        else:
            count = schedule.online_steps - schedule.online(start)
            each, what = self._seconds / self._steps, "online steps"
        if count * each >= SHORT:
            tqdm.write(
                f"duration: about {readable_time(count * each)} for {count:,} {what} of {readable_time(each)}, "
                f"{besides} not included"
            )
