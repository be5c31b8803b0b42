"""What happens during a run besides updates: logging, evaluation, checkpoints, the progress bar."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from tqdm import tqdm

from qam_torch.algorithms import Algorithm
from qam_torch.envs.pool import EnvironmentFailure
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rundir.checkpoints import SECTION
from qam_torch.rundir.metrics_file import MetricsFile
from qam_torch.training.callbacks.divergence import Diverged
from qam_torch.training.evaluator import Evaluator
from qam_torch.training.schedule import Clock
from qam_torch.types import QamError

__all__ = ["RunCallback"]


class RunCallback(L.Callback):
    """At each event of the clock, in this order: evaluate, log, save, show.

    clock       the schedule
    evaluator   runs the episodes
    metrics     metrics.csv
    loggers     Lightning loggers; they get every metric as its mean over members, and each member's own
    directory   the run directory; checkpoints go to its folder `checkpoints`
    description the checkpoint's own section, see `checkpoints.describe`
    statistics  what the episodes of the online phase have come to since it was asked last, (P,) by name

    Where a run begins with the online phase, the policy it begins with is evaluated first.
    """

    def __init__(
        self,
        clock: Clock,
        evaluator: Evaluator,
        metrics: MetricsFile,
        loggers: Sequence[Logger],
        directory: Path,
        description: dict[str, Any],
        statistics: Callable[[], dict[str, np.ndarray]] = dict,
    ) -> None:
        self.statistics = statistics
        self.clock, self.evaluator, self.metrics, self.loggers = clock, evaluator, metrics, loggers
        self.last_path = directory / "checkpoints" / "last.ckpt"
        self.best_path = directory / "checkpoints" / "best.ckpt"
        self.description = description
        self.best: dict[str, float] = {}
        self.after_offline: dict[str, float] = {}
        self.latest: Evaluation | None = None
        self.diverged = Diverged()
        self.seconds_before, self.started = 0.0, time.perf_counter()
        self.bar: tqdm | None = None
        self.saved_step: int | None = None
        self.evaluating = False

    @property
    def seconds(self) -> float:
        """Wall time of the run so far, continued runs included."""
        return self.seconds_before + time.perf_counter() - self.started

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock and the progress bar where the checkpoint left off."""
        self.started = time.perf_counter()
        step = _step(trainer)
        self.bar = tqdm(
            total=self.clock.steps,
            initial=step,
            unit=" steps" if self.clock.online_steps else " updates",
            dynamic_ncols=True,
            disable=None if sys.stderr.isatty() else True,
            smoothing=0.05,
        )
        if self.best:
            self.bar.set_postfix_str(f"best {_headline(self.best)}")
        elif step == self.clock.offline_steps:
            assert isinstance(pl_module, Algorithm)
            self._evaluate(trainer, pl_module, step)
            self._log(pl_module, step, evaluated=True)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Everything that the clock says is due after this trainer step."""
        assert isinstance(pl_module, Algorithm)
        step, clock = _step(trainer), self.clock
        evaluating, saving = clock.due(clock.eval_every, step), clock.due(clock.save_every, step)
        logging = evaluating or clock.due(clock.log_every, step)
        if logging or saving:
            pl_module.require_sound()
        if evaluating or saving:
            _require_finite(pl_module)
        if evaluating:
            self._evaluate(trainer, pl_module, step)
        if logging:
            self._log(pl_module, step, evaluating)
        if saving:
            self._save(trainer, pl_module, self.last_path)
            self.saved_step = step
        if self.bar is not None:
            self.bar.update(step - self.bar.n)

    def _save(self, trainer: L.Trainer, algorithm: Algorithm, path: Path) -> None:
        """Save what is worth continuing from: the last update's gradient was finite, but not yet what it left."""
        _require_finite(algorithm)
        trainer.save_checkpoint(path)

    def _evaluate(self, trainer: L.Trainer, algorithm: Algorithm, step: int) -> None:
        self.evaluating = True
        self.latest = self.evaluator(algorithm, step)
        self.evaluating = False
        outcome = {"step": step, "update": trainer.global_step, "return": float(self.latest.returns.mean())}
        if self.latest.success is None:
            told = f"{_headline(outcome)} [{self.latest.returns.min():.1f}, {self.latest.returns.max():.1f}]"
        else:
            outcome["success"] = float(self.latest.success_rate().mean())
            low, high = self.latest.pooled_interval()
            told = f"{_headline(outcome)} [{low:.2f}, {high:.2f}]   return {outcome['return']:8.1f}"
        online = self.clock.phase(step) == "online"
        place = f"online step {self.clock.online(step):>9,}" if online else f"update {step:>9,}"
        tqdm.write(f"{place}   {told}   {self.seconds:6.0f} s")
        if self.bar is not None:
            self.bar.set_postfix_str(_headline(outcome))
        if step == self.clock.offline_steps:
            self.after_offline = outcome
        if _is_better(outcome, self.best):
            self.best = outcome
            self._save(trainer, algorithm, self.best_path)

    def _log(self, algorithm: Algorithm, step: int, evaluated: bool) -> None:
        clock, phase = self.clock, self.clock.phase(step)
        place = {"step": step, "phase": phase, "update": clock.updates(step)}
        metrics: dict[str, np.ndarray] = {}
        self.diverged.look(algorithm)
        if clock.updates(step) > clock.updates(max(0, step - clock.num_envs)):  # else they are of some step before
            metrics |= {name: self.diverged.without(value) for name, value in algorithm.metrics.items()}
        if phase == "online":
            metrics |= self.statistics()
        if evaluated and self.latest is not None:
            metrics |= {
                "evaluation/return": self.latest.returns.mean(1),
                "evaluation/length": self.latest.lengths.mean(1),
                "evaluation/seconds": np.full(algorithm.members, self.latest.seconds),
            }
            if self.latest.success is not None:
                metrics["evaluation/success"] = self.latest.success_rate()
        self.metrics.write(place, self.seconds, {**metrics, **self.diverged.columns(algorithm.members)})
        flat = {name: float(np.nanmean(value)) for name, value in metrics.items() if not np.isnan(value).all()}
        if algorithm.members > 1:
            plain = not algorithm.own_values
            names = [f"seed{s}" if plain else algorithm.name_of(p) for p, s in enumerate(algorithm.seeds)]
            for name, value in metrics.items():
                by_member = zip(names, value.tolist(), strict=True)
                flat |= {f"{name}/{member}": v for member, v in by_member if not math.isnan(v)}
        if clock.online_steps:
            flat |= {"phase/online": float(phase == "online"), "phase/update": float(clock.updates(step))}
        try:
            for logger in self.loggers:
                logger.log_metrics(flat, step=step)
        except OSError as error:  # TensorBoard's writer reports it a step later
            self.loggers = ()
            raise QamError(f"could not write the logger's events ({error}): free some disk space") from error

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Finish the bar and the event files."""
        if self.bar is not None:
            self.bar.close()
        for logger in self.loggers:
            logger.finalize("success")

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Leave the terminal and the event files in order, as far as the disk lets; save where an environment failed.

        It fails between two updates, so all but the environments' states is as it should be. A run whose evaluation
        failed continues from the checkpoint before, if there is one, so that it is evaluated at that step after all.
        """
        to_be_repeated = self.evaluating and self.saved_step is not None
        if isinstance(exception, EnvironmentFailure) and isinstance(pl_module, Algorithm) and not to_be_repeated:
            with contextlib.suppress(QamError):  # the failure is what is to be told
                self._save(trainer, pl_module, self.last_path)
                self.saved_step = _step(trainer)
        if self.bar is not None:
            self.bar.close()
        for logger in self.loggers:
            with contextlib.suppress(OSError):
                logger.finalize("failed")

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the checkpoint's description and what this callback has to remember."""
        checkpoint[SECTION] = {
            **self.description,
            "step": _step(trainer),
            "offline_steps": self.clock.offline_steps,
            "update": trainer.global_step,
            "seconds": self.seconds,
            "best": dict(self.best),
            "after_offline": dict(self.after_offline),
            "diverged": pl_module.divergence.diverged_at(),  # type: ignore[union-attr, operator]
        }

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Continue from what the checkpoint remembers."""
        section = checkpoint[SECTION]
        self.seconds_before = section["seconds"]
        self.best, self.after_offline = dict(section["best"]), dict(section["after_offline"])
        self.saved_step = section["step"]
        self.metrics.restart(section["step"])
        # A run that had reached its end may go on to a later one.
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False


def _require_finite(algorithm: Algorithm) -> None:
    """Give up members with parameters that are not finite, as a last step far too large leaves them."""
    parameters = dict(algorithm.named_parameters())
    finite = torch.stack([value.isfinite().view(algorithm.members, -1).all(1) for value in parameters.values()])
    lost = finite.logical_not()
    if lost.any():
        algorithm.give_up(lost.any(0), f"parameter {list(parameters)[int(lost.any(1).nonzero()[0])]}")


def _step(trainer: L.Trainer) -> int:
    """Steps made, which only the data module counts: Lightning's own counter is that of the updates."""
    return trainer.datamodule.step  # type: ignore[attr-defined]


def _headline(outcome: Mapping[str, float]) -> str:
    """What an evaluation is judged by, in words."""
    return f"success {outcome['success']:.2f}" if "success" in outcome else f"return {outcome['return']:.1f}"


def _is_better(outcome: Mapping[str, float], best: Mapping[str, float]) -> bool:
    """Whether an evaluation beats the best so far: by success where the environment tells it, else by return."""
    if not best:
        return True
    if "success" in outcome or "success" in best:
        return outcome.get("success", 0.0) > best.get("success", 0.0)
    return outcome["return"] > best["return"]
