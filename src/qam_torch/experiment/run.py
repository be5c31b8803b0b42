"""One run from configuration to results: what `qam-train` does, and `qam_torch.fit` in a notebook."""

from __future__ import annotations

import json
import logging
import shlex
import signal
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError  # type: ignore[import-untyped]

from qam_torch.algorithms import Algorithm, DivergedError
from qam_torch.data.module import OfflineData
from qam_torch.experiment import parts
from qam_torch.experiment.callbacks import Evaluator, RunCallback
from qam_torch.experiment.checkpoints import (
    AtomicCheckpointIO,
    describe,
    read_checkpoint,
    require_same_run,
)
from qam_torch.experiment.checks import check
from qam_torch.experiment.clock import clock_of
from qam_torch.experiment.configuration import NEUTRAL, absolute
from qam_torch.experiment.inputs import Data, build_data, environment_maker
from qam_torch.experiment.plots import plot_losses, plot_success, plot_trajectories, read_metrics
from qam_torch.experiment.records import MetricsFile, prepare_directory, versions, write_json, write_text
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.types import QamError

__all__ = ["RunResult", "fit"]


class RunResult(NamedTuple):
    """What a run leaves in Python; everything is in the directory too.

    directory  the run directory
    summary    content of summary.json
    algorithm  the trained LightningModule, None if the run had been finished before
    """

    directory: Path
    summary: dict[str, Any]
    algorithm: Algorithm | None


def fit(config: DictConfig) -> RunResult:
    """Train and evaluate as configured, and leave the results in the run directory.

    config  from `qam_torch.compose`
    ->      RunResult

    Raises QamError, before anything is computed where possible, for values that make no sense, data that are damaged
    or missing, a directory that cannot be written to, a checkpoint of another run; and when training diverges.
    """
    _quiet_lightning()
    check(config)
    clock = clock_of(config)
    directory = absolute(config.run_dir)
    finished = _finished(directory, config)
    if finished is not None:
        print(f"this run is finished ({finished['updates']:,} updates, see {directory}/summary.json): nothing to do")
        return RunResult(directory, finished, None)
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    trainer = _trainer(config)
    prepare_directory(directory)
    saved = _saved(directory, config)
    data = build_data(config, trainer.strategy.root_device)
    algorithm, arguments = parts.build_algorithm(config, data.transitions.observation_dim, data.action_dim)
    algorithm.compile_update = parts.wants_compilation(config, trainer.strategy.root_device)
    module = OfflineData(
        transitions=data.transitions,
        horizon_length=config.algo.horizon_length,
        discount=config.algo.discount,
        batch_size=config.batch_size,
        seeds=parts.seeds_of(config),
        plan=clock.plan,
        num_steps=clock.num_steps() if saved is None else saved.steps + clock.num_steps(saved.updates),
    )
    facts = {
        "env_name": config.env.dataset,
        "task": config.task,
        "reward": config.env.reward,
        "batch_size": config.batch_size,
        "data": data.source["sha256"],
        "proportion": config.data.proportion,
        "dtype": config.dtype,
    }
    description = describe(algorithm, arguments, facts)
    if saved is None:
        directory = _fresh(directory)
    else:
        require_same_run(saved.path, saved.content, description)
    start = 0 if saved is None else saved.updates
    write_text(directory / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
    write_json(directory / "versions.json", versions())
    metrics = MetricsFile(directory / "metrics.csv" if config.logger.csv else None, algorithm.seeds)
    metrics.restart(None if saved is None else start)
    make = environment_maker(config)
    count = algorithm.members * config.eval_episodes
    evaluator = Evaluator(
        lambda: parts.build_pool(make, count, config.eval_workers), config.eval_episodes, data.action_dim
    )
    callback = RunCallback(
        clock, evaluator, metrics, parts.build_loggers(config, directory, start), directory, description
    )
    trainer.callbacks.append(callback)  # type: ignore[attr-defined]
    _announce(config, data, algorithm, trainer, start)
    try:
        _train(trainer, algorithm, module, None if saved is None else saved.path)
        summary = _conclude(config, directory, data, algorithm, callback, evaluator)
    except DivergedError as error:
        kept = (
            "none was saved yet"
            if callback.saved_update is None
            else f"{callback.last_path} (update {callback.saved_update})"
        )
        raise DivergedError(f"{error}; last good checkpoint: {kept}") from error
    finally:
        evaluator.close()
    _table(directory, summary)
    return RunResult(directory, summary, algorithm)


def _quiet_lightning() -> None:
    """The run says itself what is worth saying."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


def _trainer(config: DictConfig) -> L.Trainer:
    try:
        return L.Trainer(
            accelerator=config.trainer.accelerator,
            devices=config.trainer.devices,
            precision=config.trainer.precision,
            plugins=[AtomicCheckpointIO()],
            max_epochs=1,
            max_steps=config.updates,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise QamError(
            f"trainer.accelerator={config.trainer.accelerator} cannot be used here ({reason}): try trainer=auto"
        ) from None


def _train(trainer: L.Trainer, algorithm: Algorithm, module: OfflineData, checkpoint: Path | None) -> None:
    """Lightning's fit, but an interrupt stays an interrupt instead of ending the process with status 1."""
    main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main_thread else None
    try:
        trainer.fit(algorithm, datamodule=module, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from None
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)  # Lightning leaves interrupts ignored


def _finished(directory: Path, config: DictConfig) -> dict[str, Any] | None:
    """The summary of a finished run, if this is one and it is to be continued.

    Raises QamError when the finished run had other settings; more updates are no other settings but a continuation.
    """
    path = directory / "summary.json"
    if config.resume != "auto" or not path.is_file():
        return None
    try:
        summary = json.loads(path.read_text())
        before = OmegaConf.to_container(OmegaConf.load(directory / "config.yaml"))
    except (OSError, ValueError, YAMLError):
        raise QamError(f"'{path}' or config.yaml beside it is damaged: remove both, or give another run_dir") from None
    if summary["updates"] < config.updates:
        return None
    for name, old, new in _differences(before, OmegaConf.to_container(config, resolve=True)):
        raise QamError(
            f"the finished run in '{directory}' has {name}={old} but this run {name}={new}: give the same settings, "
            "or another run_dir, or resume=never"
        )
    return summary


def _differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Values that differ between two configurations, but for those that do not change a result."""
    if name in (*NEUTRAL, "run_name"):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield name, old, new


class _Saved(NamedTuple):
    """The checkpoint that a run continues from."""

    path: Path
    content: dict[str, Any]

    @property
    def updates(self) -> int:
        return self.content["global_step"]

    @property
    def steps(self) -> int:
        """Trainer steps made."""
        return self.content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]["ready"]


def _saved(directory: Path, config: DictConfig) -> _Saved | None:
    path = directory / "checkpoints" / "last.ckpt"
    if config.resume != "auto" or not path.is_file():
        return None
    saved = _Saved(path, read_checkpoint(path))
    if saved.updates > config.updates:
        raise QamError(
            f"checkpoint '{path}' has {saved.updates} updates but updates={config.updates}: give at least as many"
        )
    return saved


def _fresh(directory: Path) -> Path:
    """An empty directory of this name; an earlier run of the same name is kept beside it."""
    if not (directory / "config.yaml").exists():
        return directory
    number = 1
    while (kept := directory.with_name(f"{directory.name}.old-{number}")).exists():
        number += 1
    directory.rename(kept)
    print(f"an earlier run of this name is kept as {kept}")
    prepare_directory(directory)
    return directory


def _announce(config: DictConfig, data: Data, algorithm: Algorithm, trainer: L.Trainer, start: int) -> None:
    parameters = sum(p.numel() for p in algorithm.networks.parameters()) / algorithm.members
    seeds = ", ".join(map(str, algorithm.seeds))
    source = data.source
    print(
        f"{config.algo_name} on {config.env.dataset}, task {config.task}, seed {seeds}: {config.updates:,} updates, "
        f"{parameters:,.0f} parameters, {trainer.strategy.root_device}\n"
        f"data: {source['transitions']:,} transitions in {source['episodes']:,} episodes, {source['origin']}, "
        f"{source['path']}"
    )
    if start:
        print(f"continuing from update {start:,}")


def _conclude(
    config: DictConfig,
    directory: Path,
    data: Data,
    algorithm: Algorithm,
    callback: RunCallback,
    evaluator: Evaluator,
) -> dict[str, Any]:
    """Final evaluation with trajectories, the behaviour flow beside it, plots and summary.json."""
    maze = data.layout is not None
    updates = callback.clock.updates
    # The last training evaluation again, with the same noise and episodes, where its trajectories are to be drawn.
    latest = callback.latest if callback.latest is not None and not maze else None
    final = latest or evaluator(algorithm, updates, record_positions=maze)
    behavior = None
    if config.compare_behavior and algorithm.behavior_policy is not None:
        behavior = evaluator(algorithm, updates, "behavior_policy", record_positions=maze)
    plots = _plots(config, directory, data, final, behavior)
    summary = {
        "algorithm": config.algo_name,
        "environment": config.env.dataset,
        "task": config.task,
        "reward": config.env.reward,
        "seeds": list(algorithm.seeds),
        "updates": updates,
        "wall_seconds": round(callback.seconds, 1),
        "episodes": config.eval_episodes,
        "final": _outcome(final),
        "best": callback.best,
        "behavior": None if behavior is None else _outcome(behavior),
        "data": data.source,
        "plots": plots,
        "versions": versions(),
    }
    write_json(directory / "summary.json", summary)
    return summary


def _outcome(evaluation: Evaluation) -> dict[str, Any]:
    low, high = evaluation.pooled_interval()
    return {
        "success": float(evaluation.success_rate().mean()),
        "success_95": [low, high],
        "success_by_seed": evaluation.success_rate().tolist(),
        "success_95_by_seed": evaluation.interval().tolist(),
        "return": float(evaluation.returns.mean()),
        "length": float(evaluation.lengths.mean()),
    }


def _plots(
    config: DictConfig, directory: Path, data: Data, final: Evaluation, behavior: Evaluation | None
) -> list[str]:
    title = f"{config.algo_name}, {config.env.dataset}, task {config.task}"
    folder = directory / "plots"
    folder.mkdir(exist_ok=True)
    if config.logger.csv:
        metrics = read_metrics(directory / "metrics.csv")
        rate = None
        if behavior is not None:
            rate = (float(behavior.success_rate().mean()), *behavior.pooled_interval())
        plot_success(metrics, config.eval_episodes, folder / "success.png", behavior=rate, title=title)
        plot_losses(metrics, folder / "losses.png", title=title)
    if data.layout is not None and final.trajectories is not None:
        compare = None
        if behavior is not None and behavior.trajectories is not None:
            compare = (list(behavior.trajectories), np.asarray(behavior.success[0]), "behaviour flow alone")
        plot_trajectories(
            data.layout,
            list(final.trajectories),
            final.success[0],
            folder / "trajectories.png",
            title=title,
            compare=compare,
        )
    return sorted(str(path.relative_to(directory)) for path in folder.glob("*.png"))


def _table(directory: Path, summary: dict[str, Any]) -> None:
    """A few lines at the end that say what came out and where everything is."""

    def outcome(part: dict[str, Any]) -> str:
        low, high = part["success_95"]
        return f"{part['success']:.2f} [{low:.2f}, {high:.2f}]"

    rows = [("success", f"{outcome(summary['final'])}  (95 % interval, {summary['episodes']} episodes a seed)")]
    if len(summary["seeds"]) > 1:
        by_seed = zip(summary["seeds"], summary["final"]["success_by_seed"], strict=True)
        rows.append(("by seed", "  ".join(f"{seed}: {rate:.2f}" for seed, rate in by_seed)))
    if summary["behavior"] is not None:
        rows.append(("behaviour flow", outcome(summary["behavior"])))
    rows += [
        ("updates", f"{summary['updates']:,} in {summary['wall_seconds']:,.0f} s"),
        ("results", f"{directory}/"),
        ("", "summary.json  metrics.csv  config.yaml  versions.json  tensorboard/"),
        ("", "checkpoints/{last,best}.ckpt  " + "  ".join(summary["plots"])),
        ("watch again", f"qam-eval {shlex.quote(f'ckpt={directory}/checkpoints/last.ckpt')} video=episodes.mp4"),
    ]
    print()
    for name, value in rows:
        print(f"  {name:15} {value}")
