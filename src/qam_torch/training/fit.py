"""One run from configuration to results; `qam_torch.run.fit` calls it with the objects that the configuration names."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from qam_torch.algorithms import Algorithm, DivergedError
from qam_torch.algorithms.core.addresses import describe_seeds
from qam_torch.config.population import seeds_of
from qam_torch.data.datamodule import TrainingData
from qam_torch.envs.pool import EnvironmentFailure
from qam_torch.envs.step_metrics import StepMetric, metric_names
from qam_torch.rollout.pools import environments_for, make_pool
from qam_torch.rundir.metrics_file import MetricsFile
from qam_torch.rundir.paths import RunPaths
from qam_torch.rundir.versions import versions
from qam_torch.suites import TaskData, load_data, suite_of
from qam_torch.system.files import absolute, prepare_directory, write_json, write_text
from qam_torch.system.locks import alone
from qam_torch.training.build_algorithm import build_algorithm, configure_update
from qam_torch.training.callbacks.checkpoint import CheckpointCallback
from qam_torch.training.callbacks.divergence import DivergenceCallback
from qam_torch.training.callbacks.evaluation import EvaluationCallback
from qam_torch.training.callbacks.metrics import MetricsCallback
from qam_torch.training.callbacks.progress_bar import ProgressBarCallback
from qam_torch.training.description import describe
from qam_torch.training.evaluator import Evaluator
from qam_torch.training.finished_run import finished_run
from qam_torch.training.loggers import Resumable
from qam_torch.training.online import Replay, build_collector, build_online_phase
from qam_torch.training.plots import Plot, plot_name
from qam_torch.training.request import request_of
from qam_torch.training.result_table import print_results
from qam_torch.training.schedule import Schedule, schedule_of
from qam_torch.training.start import Start, choose_start
from qam_torch.training.summary import summarize
from qam_torch.training.threads import computing_threads, hidden_widths
from qam_torch.training.trainer import build_trainer, quiet_lightning, train
from qam_torch.training.validation import check
from qam_torch.training.wall_time import WallTime
from qam_torch.types import PRECISIONS, QamError

__all__ = ["RunResult", "fit"]

LOCK_PATIENCE = 5.0
"""Seconds to wait for the rest of a killed run to end before the directory counts as in use."""


class RunResult(NamedTuple):
    """What a run returns in Python; everything is in its directory, too.

    Attributes:
        directory: the run directory.
        summary: content of summary.json.
        algorithm: the trained LightningModule, None if the run had been finished before.
        resumed: whether the run continued from a checkpoint that an earlier run had left in the directory.
    """

    directory: Path
    summary: dict[str, Any]
    algorithm: Algorithm | None
    resumed: bool = False


class Additions(NamedTuple):
    """What a run has besides its own parts; `qam_torch.run.fit` describes each."""

    callbacks: Sequence[L.Callback] = ()
    loggers: Sequence[Logger] = ()
    evaluation_metrics: Sequence[StepMetric] = ()
    plots: Sequence[Plot] = ()

    def check(self) -> None:
        """Raise QamError for objects of another kind."""
        for name, kind in (("callbacks", L.Callback), ("loggers", Logger)):
            for given in getattr(self, name):
                if not isinstance(given, kind):
                    raise QamError(f"{name} contain a {type(given).__name__}: expected objects of Lightning's {kind}")
        metric_names(self.evaluation_metrics)
        for plot in self.plots:
            plot_name(plot)


def fit(
    config: DictConfig,
    callbacks: Sequence[L.Callback] = (),
    loggers: Sequence[Logger] = (),
    evaluation_metrics: Sequence[StepMetric] = (),
    plots: Sequence[Plot] = (),
) -> RunResult:
    """Train and evaluate with what is passed and nothing else; `qam_torch.run.fit` adds what is configured.

    Args:
        config: from `qam_torch.compose`. Of `logger`, only `logger.csv` is read.
        callbacks: Lightning callbacks.
        loggers: Lightning loggers.
        evaluation_metrics: custom metrics of evaluation episodes.
        plots: custom plots of the run.

    Raises:
        QamError: a value is invalid, data are damaged or missing, the directory cannot be written to, a checkpoint
            belongs to another run (all before anything is computed, where possible), or training diverged.
    """
    quiet_lightning()
    check(config)
    additions = Additions(callbacks, loggers, evaluation_metrics, plots)
    additions.check()
    paths = RunPaths(absolute(config.run_dir))
    finished = finished_run(paths, config)
    if finished is not None:
        print(f"this run is finished ({_describe_steps(finished)}, see {paths.summary}): nothing to do")
        return RunResult(paths.directory, finished, None)
    prepare_directory(paths.directory)
    rows = len(seeds_of(config)) * config.batch_size
    with _exclusive(paths), computing_threads(config.num_threads, hidden_widths(config), rows):
        return _fit(config, paths, additions)


def _fit(config: DictConfig, paths: RunPaths, additions: Additions) -> RunResult:
    # What is trained, and for how long
    trainer = build_trainer(config.trainer.accelerator, config.trainer.devices)
    device = trainer.strategy.root_device
    start = choose_start(config, paths)
    schedule = schedule_of(config, start.offline_steps)
    data = load_data(request_of(config), device, getattr(torch, PRECISIONS[config.precision]))
    algorithm, arguments = build_algorithm(config, data.observation_dim, data.action_dim)
    configure_update(algorithm, config, device, schedule.updates(schedule.steps))

    # Where batches and evaluations come from
    suite = suite_of(data.environment)
    make = suite.make(data.environment)
    horizon_length = config.algo.horizon_length
    collector = build_collector(algorithm, make, config.num_envs, config.online_workers, horizon_length)
    assert data.transitions is not None
    module = TrainingData(
        transitions=data.transitions,
        horizon_length=horizon_length,
        discount=arguments["discount"],
        batch_size=config.batch_size,
        seeds=algorithm.seeds,
        plan=schedule.plan,
        num_steps=start.trainer_steps + schedule.trainer_steps(start.step),
        online=build_online_phase(
            schedule,
            collector,
            paths,
            Replay(config.buffer_size, config.replay_mode, algorithm.windows),
            algorithm.members,
            (data.observation_dim, data.action_dim),
            horizon_length,
        ),
        window_rule=algorithm.windows,
    )
    data = data._replace(transitions=None)  # online, the replay buffer replaces them, so nothing else may hold them
    environments = environments_for(algorithm.members, config.eval_episodes, config.eval_environments)
    evaluator = Evaluator(
        lambda: make_pool(make, environments, config.eval_workers, additions.evaluation_metrics),
        config.eval_episodes,
        data.action_dim,
    )

    # The run directory
    description = _describe(config, data, algorithm, arguments)
    checkpoint = start.begin(paths, algorithm, module, description)
    paths.failure.unlink(missing_ok=True)
    write_text(paths.config, OmegaConf.to_yaml(config, resolve=True))
    write_json(paths.versions, versions())

    # Callbacks, in the order in which they act at an event
    wall_time = WallTime()
    metrics = MetricsFile(
        paths.metrics if config.logger.get("csv", True) else None, algorithm.seeds, algorithm.own_values
    )
    metrics.restart(None if checkpoint is None else start.step)
    for logger in additions.loggers:
        if isinstance(logger, Resumable):
            logger.resume_at(start.step)
    divergence = DivergenceCallback(schedule)
    evaluation = EvaluationCallback(schedule, evaluator, wall_time)
    checkpoints = CheckpointCallback(schedule, evaluation, paths, metrics, wall_time, description)
    trainer.callbacks += [  # type: ignore[attr-defined]
        divergence,
        evaluation,
        MetricsCallback(schedule, evaluation, divergence, metrics, additions.loggers, wall_time, collector.statistics),
        *additions.callbacks,
        checkpoints,
        ProgressBarCallback(schedule, evaluation),
    ]

    _announce(config, data, suite.title(data.environment), algorithm, trainer, schedule, start)
    try:
        train(trainer, algorithm, module, checkpoint)
        if module.step < schedule.steps:
            print(f"a callback stopped training at {_describe_place(schedule, module.step)}")
        summary = summarize(
            config.algo_name, paths, data, algorithm, schedule, module.step, evaluation, evaluator, wall_time, metrics,
            config.compare_behavior, additions.plots,
        )  # fmt: skip
    except (DivergedError, EnvironmentFailure) as error:
        kept = "none was saved yet"
        if checkpoints.saved_step is not None:
            kept = f"{paths.last_checkpoint} ({_describe_place(schedule, checkpoints.saved_step)})"
        with contextlib.suppress(QamError):  # the failure itself is reported
            write_text(paths.failure, f"{error}\n")
        raise type(error)(f"{error}; last good checkpoint: {kept}") from error
    finally:
        evaluator.close()
    print_results(paths, summary)
    return RunResult(paths.directory, summary, algorithm, start.resumed)


@contextlib.contextmanager
def _exclusive(paths: RunPaths) -> Iterator[None]:
    """Keep other processes from making the same run at the same time; raises QamError where one already does."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone(paths.directory, LOCK_PATIENCE))
        except TimeoutError:
            raise QamError(
                f"another process works in '{paths.directory}': wait for its end, or give another run_dir"
            ) from None
        except OSError:  # no lock file can be made beside it, as beside a mounted directory
            pass
        yield


def _describe(config: DictConfig, data: TaskData, algorithm: Algorithm, arguments: dict[str, Any]) -> dict[str, Any]:
    run = {
        **data.environment,
        "batch_size": config.batch_size,
        "data": data.source["sha256"],
        "fraction": config.data.fraction,
        "dtype": PRECISIONS[config.precision],
        "init_from": config.init_from,
    }
    online = {name: config[name] for name in ("num_envs", "start_training", "utd_ratio", "replay_mode", "buffer_size")}
    return describe(algorithm, arguments, run, online)


def _announce(
    config: DictConfig,
    data: TaskData,
    title: str,
    algorithm: Algorithm,
    trainer: L.Trainer,
    schedule: Schedule,
    start: Start,
) -> None:
    """Print what the run is, before it starts."""
    parameters = sum(p.numel() for p in algorithm.networks.parameters()) / algorithm.members
    offline = [] if config.init_from is not None else [f"{schedule.offline_steps:,} updates"]
    online = [f"{schedule.online_steps:,} environment steps"] if schedule.online_steps else []
    print(
        f"{config.algo_name} on {title}, seed {describe_seeds(algorithm)}: {', then '.join(offline + online)}, "
        f"{parameters:,.0f} parameters, {trainer.strategy.root_device}\n"
        f"data: {_describe_amount(data.source)}, {data.source['origin']}, {data.source['path']}"
    )
    if start.resumed and start.step:
        print(f"continuing from {_describe_place(schedule, start.step)}")


def _describe_place(schedule: Schedule, step: int) -> str:
    """For example "update 300" or "online step 20"."""
    return f"update {step:,}" if schedule.phase(step) == "offline" else f"online step {schedule.online(step):,}"


def _describe_steps(summary: dict[str, Any]) -> str:
    online = summary["online_steps"]
    return f"{summary['updates']:,} updates" + (f", {online:,} environment steps" if online else "")


def _describe_amount(source: dict[str, Any]) -> str:
    if "files" in source:
        return f"{source['files']:,} files that are rotated"
    return f"{source['transitions']:,} transitions in {source['episodes']:,} episodes"
