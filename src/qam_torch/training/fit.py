"""One run, from configuration to results; `qam_torch.run.fit` calls `fit` with the configured objects."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf

from qam_torch.algorithms import Algorithm, DivergedError
from qam_torch.data.datamodule import TrainingData
from qam_torch.envs.host_process import pickled_metrics
from qam_torch.envs.pool import EnvironmentFailure
from qam_torch.envs.step_metrics import StepMetric, metric_names
from qam_torch.inference.matrix_precision import matrix_precision
from qam_torch.inference.threads import computing_threads
from qam_torch.rollout.pools import evaluation_pool, workers_for
from qam_torch.rundir.metrics_file import MetricsFile
from qam_torch.rundir.paths import RunPaths
from qam_torch.rundir.versions import versions
from qam_torch.suites import TaskData, load_data, suite_of
from qam_torch.system.files import prepare_directory, write_json, write_text
from qam_torch.system.locks import exclusive
from qam_torch.system.machine import return_garbage
from qam_torch.system.signals import Ending, Terminated, termination_raises
from qam_torch.system.streams import standard_streams
from qam_torch.training.announcement import announce_data, announce_finished, announce_plan
from qam_torch.training.callbacks.checkpoint import CheckpointCallback
from qam_torch.training.callbacks.divergence import DivergenceCallback
from qam_torch.training.callbacks.duration import DurationCallback
from qam_torch.training.callbacks.ending import EndingCallback
from qam_torch.training.callbacks.evaluation import EvaluationCallback
from qam_torch.training.callbacks.metrics import MetricsCallback
from qam_torch.training.callbacks.progress_bar import ProgressBarCallback
from qam_torch.training.callbacks.versions import VersionsCallback
from qam_torch.training.description import describe
from qam_torch.training.evaluator import Evaluator
from qam_torch.training.finished_run import finished_run
from qam_torch.training.loggers import Resumable
from qam_torch.training.memory import announce_memory, needed_memory
from qam_torch.training.online import build_collector, build_online_phase
from qam_torch.training.plots import Plot, plot_name
from qam_torch.training.result_table import print_results
from qam_torch.training.settings import RunSettings
from qam_torch.training.start import choose_start
from qam_torch.training.summary import summarize
from qam_torch.training.trainer import build_trainer, quiet_lightning, train
from qam_torch.training.wall_time import WallTime
from qam_torch.types import PRECISIONS, QamError

__all__ = ["Additions", "RunResult", "fit"]

LOCK_PATIENCE = 5.0
"""Seconds to wait for processes of a killed run before reporting the directory as in use."""


class RunResult(NamedTuple):
    """Result of a run in Python, as in the run directory.

    Attributes:
        directory: the run directory.
        summary: content of summary.json.
        algorithm: the trained LightningModule; None if the run was already finished.
        resumed: whether the run continued from a checkpoint in its directory.
    """

    directory: Path
    summary: dict[str, Any]
    algorithm: Algorithm | None
    resumed: bool = False


class Additions(NamedTuple):
    """Custom extensions of a run, see `qam_torch.run.fit`."""

    callbacks: Sequence[L.Callback] = ()
    loggers: Sequence[Logger] = ()
    evaluation_metrics: Sequence[StepMetric] = ()
    plots: Sequence[Plot] = ()

    def check(self, workers: int) -> None:
        """Raise QamError for objects of a wrong type, or metrics that workers cannot import.

        Args:
            workers: processes that step the environments of an evaluation; 0 for this process.
        """
        for name, kind in (("callbacks", L.Callback), ("loggers", Logger)):
            for given in getattr(self, name):
                if not isinstance(given, kind):
                    raise QamError(f"{name} contain a {type(given).__name__}: expected objects of Lightning's {kind}")
        metric_names(self.evaluation_metrics)
        if workers:
            pickled_metrics(self.evaluation_metrics, "give eval_workers=0")
        for plot in self.plots:
            plot_name(plot)


def fit(settings: RunSettings, additions: Callable[[], Additions]) -> RunResult:
    """Train and evaluate with the given objects; `qam_torch.run.fit` adds those that the configuration names.

    Args:
        settings: from `training.settings.read_settings`.
        additions: makes callbacks, loggers, metrics and plots; not called if the run is already finished.

    Raises:
        QamError: data are damaged or missing, the directory cannot be written to, a checkpoint belongs to another run
            (checked before training where possible), or training diverged.
        Terminated: a KeyboardInterrupt after SIGTERM or SIGHUP; a checkpoint is saved.
    """
    with standard_streams(lasting=True), termination_raises():
        return _fit_unless_finished(settings, additions)


def _fit_unless_finished(settings: RunSettings, make_additions: Callable[[], Additions]) -> RunResult:
    quiet_lightning()
    paths = RunPaths(settings.directory)
    finished = finished_run(paths, settings.values)
    if finished is not None:
        announce_finished(finished, paths)
        return RunResult(paths.directory, finished, None)
    additions = make_additions()
    additions.check(workers_for(settings.environments, settings.evaluation.eval_workers))
    prepare_directory(paths.directory)
    announce_plan(settings)
    method, update = settings.method, settings.update
    rows = method.members * update.batch_size * method.options.get("num_qs", 1)
    threads = computing_threads(update.num_threads, method.hidden_widths, rows)
    with _exclusive(paths), threads, contextlib.ExitStack() as held:
        return _fit(settings, paths, additions, held)


def _fit(settings: RunSettings, paths: RunPaths, additions: Additions, held: contextlib.ExitStack) -> RunResult:
    # Method and schedule
    method, update = settings.method, settings.update
    trainer = build_trainer(settings.accelerator, settings.devices)
    device = trainer.strategy.root_device
    held.enter_context(matrix_precision(device, update.dtype))
    start = choose_start(paths, settings.schedule, settings.init_from, settings.continues)
    schedule = replace(settings.schedule, offline_steps=start.offline_steps)
    data = load_data(settings.request, device, update.dtype)
    return_garbage()  # frees the environment used to read the data, and file arrays
    algorithm, arguments = method.build(data.observation_dim, data.action_dim, update.dtype)
    update.apply(algorithm, device, schedule.updates(schedule.steps))

    # Batches and evaluations
    make = suite_of(data.environment).make(data.environment)
    execute_steps = settings.execute_steps
    collector = build_collector(algorithm, make, schedule.num_envs, settings.online_workers, execute_steps)
    assert data.transitions is not None
    module = TrainingData(
        transitions=data.transitions,
        horizon_length=algorithm.horizon_length,
        discount=arguments["discount"],
        batch_size=update.batch_size,
        seeds=algorithm.seeds,
        plan=schedule.plan,
        num_steps=start.trainer_steps + schedule.trainer_steps(start.step),
        online=build_online_phase(
            schedule,
            collector,
            paths,
            settings.replay,
            algorithm,
            (data.observation_dim, data.action_dim),
        ),
        window_rule=algorithm.windows,
    )
    if settings.request.data["normalize"] == "standard":
        statistics = module.observation_statistics()
        algorithm.normalize(statistics.mean, statistics.std)
        data = data._replace(remarks=(*data.remarks, statistics.remark))
    # Online, the replay buffer replaces the transitions; no other reference may keep them in memory.
    data = data._replace(transitions=None)
    episodes, workers = settings.evaluation.eval_episodes, settings.evaluation.eval_workers
    most, own_metrics = settings.evaluation.eval_environments, additions.evaluation_metrics
    pool = held.enter_context(evaluation_pool(make, algorithm.members, episodes, most, workers, own_metrics))
    evaluator = Evaluator(pool, episodes, data.action_dim, execute_steps)

    # The run directory
    description = _describe(settings, data, algorithm, arguments)
    checkpoint = start.begin(paths, algorithm, module, description)
    paths.failure.unlink(missing_ok=True)
    write_text(paths.config, OmegaConf.to_yaml(settings.values))
    write_json(paths.versions, versions(device))

    # Callbacks, in the order in which they act at an event
    wall_time = WallTime()
    metrics = MetricsFile(paths.metrics if settings.csv else None, algorithm.seeds, algorithm.member_values)
    metrics.restart(None if checkpoint is None else start.step)
    for logger in additions.loggers:
        if isinstance(logger, Resumable):
            logger.resume_at(start.step)
    divergence = DivergenceCallback(schedule)
    ending = Ending()
    evaluation = EvaluationCallback(schedule, evaluator, wall_time, ending)
    checkpoints = CheckpointCallback(schedule, evaluation, paths, metrics, wall_time, description, ending)
    trainer.callbacks += [  # type: ignore[attr-defined]
        EndingCallback(ending),
        VersionsCallback(paths.versions),
        divergence,
        evaluation,
        MetricsCallback(schedule, evaluation, divergence, metrics, additions.loggers, wall_time, collector.statistics),
        *additions.callbacks,
        checkpoints,
        ProgressBarCallback(schedule, evaluation),
        DurationCallback(schedule),
    ]

    announce_data(data, module, algorithm, device, schedule, start)
    announce_memory(needed_memory(module, algorithm, pool, schedule, settings.replay))
    try:
        train(trainer, algorithm, module, checkpoint)
        ending.check()  # a signal after the last batch
        if module.step < schedule.steps:
            print(f"a callback stopped training at {schedule.place(module.step)}")
        algorithm.to(device)  # Lightning moved it to the CPU; noise must be drawn on the device
        summary = summarize(
            method.name, paths, data, algorithm, schedule, module.step, evaluation, evaluator, wall_time, metrics,
            settings.evaluation.compare_behavior, additions.plots,
        )  # fmt: skip
    except Terminated as signal:
        raise Terminated(signal.number, f"last checkpoint: {checkpoints.describe_saved()}") from None
    except (DivergedError, EnvironmentFailure) as error:
        kept = checkpoints.describe_saved()
        with contextlib.suppress(QamError):  # report the first failure
            write_text(paths.failure, f"{error}\n")
        raise type(error)(f"{error}; last good checkpoint: {kept}") from error
    algorithm.cpu()
    print_results(paths, summary)
    return RunResult(paths.directory, summary, algorithm, start.resumed)


@contextlib.contextmanager
def _exclusive(paths: RunPaths) -> Iterator[None]:
    """Prevent other processes from using the run directory; raises QamError if one already uses it."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(exclusive(paths.directory, LOCK_PATIENCE))
        except TimeoutError:
            raise QamError(
                f"another process uses '{paths.directory}': wait until it ends, or give another run_dir"
            ) from None
        except OSError:  # no lock file can be created beside it, e.g. beside a mounted directory
            pass
        yield


def _describe(settings: RunSettings, data: TaskData, algorithm: Algorithm, arguments: dict[str, Any]) -> dict[str, Any]:
    run = {
        **data.environment,
        "batch_size": settings.update.batch_size,
        "data": data.source["sha256"],
        "fraction": settings.request.data["fraction"],
        "normalize": settings.request.data["normalize"],
        "execute_steps": settings.execute_steps,
        "dtype": PRECISIONS[settings.update.precision],
        "init_from": settings.init_from,
    }
    names = ("num_envs", "start_training", "utd_ratio", "replay_mode", "buffer_size")
    return describe(algorithm, arguments, run, {name: settings.values[name] for name in names})
