"""What happens during a run besides updates: logging, evaluation, checkpoints, the progress bar."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from lightning.pytorch.loggers import Logger
from tqdm import tqdm

from qam_torch.algorithms import Algorithm, DivergedError
from qam_torch.experiment.acting import PopulationActor
from qam_torch.experiment.checkpoints import SECTION
from qam_torch.experiment.clock import Clock
from qam_torch.experiment.records import MetricsFile
from qam_torch.rollout.evaluation import Evaluation, evaluate
from qam_torch.rollout.pool import EnvironmentPool
from qam_torch.types import QamError

__all__ = ["Evaluator", "RunCallback"]


class Evaluator:
    """Evaluates all members of an algorithm side by side, in environments that are made once and kept.

    make_pool   makes the environments when they are first needed
    episodes    per member
    action_dim  A
    """

    def __init__(self, make_pool: Callable[[], EnvironmentPool], episodes: int, action_dim: int) -> None:
        self.make_pool, self.episodes, self.action_dim = make_pool, episodes, action_dim
        self.pool: EnvironmentPool | None = None

    def __call__(
        self, algorithm: Algorithm, update: int, policy: str = "policy", record_positions: bool = False
    ) -> Evaluation:
        """Noise and episodes are functions of (seeds, update) alone, so a continued run evaluates alike."""
        if self.pool is None:
            self.pool = self.make_pool()
        return evaluate(
            PopulationActor(algorithm, policy, f"evaluation/{policy}/{update}"),
            self.pool,
            algorithm.members,
            self.episodes,
            algorithm.horizon_length,
            self.action_dim,
            seed=update,
            record_positions=record_positions,
        )

    def close(self) -> None:
        """End the environments' processes."""
        if self.pool is not None:
            self.pool.close()
            self.pool = None


class RunCallback(L.Callback):
    """At each event of the clock, in this order: evaluate, log, save, show.

    clock       the schedule
    evaluator   runs the episodes
    metrics     metrics.csv
    loggers     Lightning loggers; they get every metric as its mean over members, and each member's own
    directory   the run directory; checkpoints go to its folder `checkpoints`
    description the checkpoint's own section, see `checkpoints.describe`
    """

    def __init__(
        self,
        clock: Clock,
        evaluator: Evaluator,
        metrics: MetricsFile,
        loggers: Sequence[Logger],
        directory: Path,
        description: dict[str, Any],
    ) -> None:
        self.clock, self.evaluator, self.metrics, self.loggers = clock, evaluator, metrics, loggers
        self.last_path = directory / "checkpoints" / "last.ckpt"
        self.best_path = directory / "checkpoints" / "best.ckpt"
        self.description = description
        self.best: dict[str, float] = {}
        self.latest: Evaluation | None = None
        self.seconds_before, self.started = 0.0, time.perf_counter()
        self.bar: tqdm | None = None
        self.saved_update: int | None = None

    @property
    def seconds(self) -> float:
        """Wall time of the run so far, continued runs included."""
        return self.seconds_before + time.perf_counter() - self.started

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock and the progress bar where the checkpoint left off."""
        self.started = time.perf_counter()
        self.bar = tqdm(
            total=self.clock.updates,
            initial=trainer.global_step,
            unit=" updates",
            dynamic_ncols=True,
            disable=None if sys.stderr.isatty() else True,
            smoothing=0.05,
        )
        if self.best:
            self.bar.set_postfix_str(f"best {_headline(self.best)}")

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Everything that the clock says is due after this trainer step."""
        assert isinstance(pl_module, Algorithm)
        update, clock = trainer.global_step, self.clock
        evaluating = clock.due(clock.eval_every, update)
        if evaluating:
            self._evaluate(trainer, pl_module, update)
        if evaluating or clock.due(clock.log_every, update):
            self._log(pl_module, update, evaluating)
        if clock.due(clock.save_every, update):
            self._save(trainer, pl_module, self.last_path)
            self.saved_update = update
        if self.bar is not None:
            self.bar.update(update - self.bar.n)

    def _save(self, trainer: L.Trainer, algorithm: Algorithm, path: Path) -> None:
        """Save what is worth continuing from: the last update's losses were finite, but not yet what it left."""
        for name, parameter in algorithm.named_parameters():
            if not parameter.isfinite().all():
                raise DivergedError(
                    f"training diverged at update {trainer.global_step}: parameter {name} is not finite; "
                    "lower algo.lr or algo.inv_temp, or check the data for outliers"
                )
        trainer.save_checkpoint(path)

    def _evaluate(self, trainer: L.Trainer, algorithm: Algorithm, update: int) -> None:
        self.latest = self.evaluator(algorithm, update)
        outcome = {"update": update, "return": float(self.latest.returns.mean())}
        if self.latest.success is None:
            told = f"{_headline(outcome)} [{self.latest.returns.min():.1f}, {self.latest.returns.max():.1f}]"
        else:
            outcome["success"] = float(self.latest.success_rate().mean())
            low, high = self.latest.pooled_interval()
            told = f"{_headline(outcome)} [{low:.2f}, {high:.2f}]   return {outcome['return']:8.1f}"
        tqdm.write(f"update {update:>9,}   {told}   {self.seconds:6.0f} s")
        if self.bar is not None:
            self.bar.set_postfix_str(_headline(outcome))
        if _is_better(outcome, self.best):
            self.best = outcome
            self._save(trainer, algorithm, self.best_path)

    def _log(self, algorithm: Algorithm, update: int, evaluated: bool) -> None:
        training = {name: value.detach().cpu().numpy() for name, value in algorithm.metrics.items()}
        evaluation: dict[str, np.ndarray] = {}
        if evaluated and self.latest is not None:
            evaluation = {
                "evaluation/return": self.latest.returns.mean(1),
                "evaluation/length": self.latest.lengths.mean(1),
                "evaluation/seconds": np.full(algorithm.members, self.latest.seconds),
            }
            if self.latest.success is not None:
                evaluation["evaluation/success"] = self.latest.success_rate()
        self.metrics.write(update, self.seconds, training, evaluation)
        flat = {name: float(value.mean()) for name, value in {**training, **evaluation}.items()}
        if algorithm.members > 1:
            for name, value in {**training, **evaluation}.items():
                flat |= {f"{name}/seed{s}": float(v) for s, v in zip(algorithm.seeds, value, strict=True)}
        try:
            for logger in self.loggers:
                logger.log_metrics(flat, step=update)
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
        """Leave the terminal and the event files in order, as far as the disk lets."""
        if self.bar is not None:
            self.bar.close()
        for logger in self.loggers:
            with contextlib.suppress(OSError):
                logger.finalize("failed")

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add the checkpoint's description and what this callback has to remember."""
        checkpoint[SECTION] = {
            **self.description,
            "update": trainer.global_step,
            "seconds": self.seconds,
            "best": dict(self.best),
        }

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Continue from what the checkpoint remembers."""
        section = checkpoint[SECTION]
        self.seconds_before, self.best = section["seconds"], dict(section["best"])
        self.saved_update = section["update"]
        self.metrics.restart(section["update"])
        # A run that had reached its end may go on to a later one.
        checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False


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
