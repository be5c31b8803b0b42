"""Evaluate the policy during training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import numpy as np
from tqdm import tqdm

from qam_torch.algorithms import Algorithm
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rundir.checkpoints import SECTION
from qam_torch.system.signals import Ending
from qam_torch.training.callbacks.step import current_step
from qam_torch.training.evaluator import Evaluator
from qam_torch.training.schedule import Schedule
from qam_torch.training.wall_time import WallTime

__all__ = ["EvaluationCallback"]


class EvaluationCallback(L.Callback):
    """Evaluates at the scheduled steps, prints one line, and stores the best outcome.

    If a run begins with the online phase, it evaluates the initial policy first. If a run continues from a checkpoint
    that was saved during an evaluation, it repeats that evaluation first.

    Args:
        schedule: the run's schedule.
        evaluator: runs the episodes.
        wall_time: the run's wall time.
        ending: signal handling. A signal that ends the run interrupts the episodes immediately.

    Attributes:
        latest: the last evaluation; None before the first.
        evaluated_at, improved_at: step of the last evaluation, and step of the best one.
        best, after_offline: step, update, return and success of the best evaluation, and of the one at the end of the
            offline phase. Empty if there is none yet.
        running: whether an evaluation is running, or was running when the run was interrupted.
    """

    def __init__(self, schedule: Schedule, evaluator: Evaluator, wall_time: WallTime, ending: Ending) -> None:
        self.schedule, self.evaluator, self.wall_time, self.ending = schedule, evaluator, wall_time, ending
        self.latest: Evaluation | None = None
        self.evaluated_at: int | None = None
        self.improved_at: int | None = None
        self.best: dict[str, float] = {}
        self.after_offline: dict[str, float] = {}
        self.headline = ""
        self.running = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock. Evaluate if the run begins with the online phase or was interrupted in an evaluation."""
        self.wall_time.start()
        if self.best:
            self.headline = f"best {_headline(self.best)}"
        if self.running or (not self.best and current_step(trainer) == self.schedule.offline_steps):
            assert isinstance(pl_module, Algorithm)
            self._evaluate(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Evaluate if an evaluation is due."""
        assert isinstance(pl_module, Algorithm)
        if self.schedule.due_at(current_step(trainer)).evaluation:
            self._evaluate(trainer, pl_module)

    def _evaluate(self, trainer: L.Trainer, algorithm: Algorithm) -> None:
        step = current_step(trainer)
        self.running = True
        with self.ending.at_once():
            self.latest = evaluation = self.evaluator(algorithm, step)
        self.running = False
        self.evaluated_at = step
        outcome = {"step": step, "update": trainer.global_step, "return": float(evaluation.returns.mean())}
        if evaluation.success is None:
            shown = f"{_headline(outcome)} [{evaluation.returns.min():.1f}, {evaluation.returns.max():.1f}]"
        else:
            outcome["success"] = float(evaluation.success_rate().mean())
            for earlier in (self.best, self.after_offline):
                if earlier:
                    earlier.setdefault("success", 0.0)  # evaluated before any episode reported success
            interval = None if algorithm.member_values else evaluation.seeds_interval()
            shown = _headline(outcome) + ("" if interval is None else " [{:.2f}, {:.2f}]".format(*interval))
            shown += f"   return {outcome['return']:8.1f}"
        shown += "".join(
            f"   {name} {np.nanmean(values):.4g}"
            for name, values in evaluation.custom().items()
            if not np.isnan(values).all()
        )
        self.headline = _headline(outcome)
        online = self.schedule.phase(step) == "online"
        place = f"online step {self.schedule.online(step):>9,}" if online else f"update {step:>9,}"
        tqdm.write(f"{place}   {shown}   {self.wall_time.seconds:6.0f} s")
        if step == self.schedule.offline_steps:
            self.after_offline = outcome
        if _is_better(outcome, self.best):
            self.best, self.improved_at = outcome, step

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the best outcome, the outcome after the offline phase, and whether an evaluation must be repeated."""
        outcomes: dict[str, Any] = {"best": dict(self.best), "after_offline": dict(self.after_offline)}
        if self.running:
            outcomes["evaluating"] = True
        checkpoint.setdefault(SECTION, {}).update(outcomes)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the outcomes of a checkpoint."""
        section = checkpoint[SECTION]
        self.best, self.after_offline = dict(section["best"]), dict(section["after_offline"])
        self.evaluator.reports_success = "success" in self.best
        self.running = section.get("evaluating", False)


def _headline(outcome: Mapping[str, float]) -> str:
    """Success or return, by which evaluations are compared, as text."""
    return f"success {outcome['success']:.2f}" if "success" in outcome else f"return {outcome['return']:.1f}"


def _is_better(outcome: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Whether an evaluation is better than the best so far, in success if it is reported and otherwise in return."""
    if not best:
        return True
    if "success" in outcome:
        return outcome["success"] > best["success"]
    return outcome["return"] > best["return"]
