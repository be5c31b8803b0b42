"""One run from configuration to results: what `qam-train` does, and `qam_torch.fit` in a notebook."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from omegaconf import DictConfig, OmegaConf

from qam_torch.algorithms import Algorithm, DivergedError
from qam_torch.config.population import told_seeds
from qam_torch.data.datamodule import TrainingData
from qam_torch.envs.pool import EnvironmentFailure
from qam_torch.rundir.checkpoints import describe, require_same_run
from qam_torch.rundir.metrics_file import MetricsFile
from qam_torch.rundir.paths import RunPaths
from qam_torch.rundir.versions import versions
from qam_torch.suites.environments import environment_maker, title
from qam_torch.suites.inputs import Data, build_data
from qam_torch.system.files import absolute, prepare_directory, write_json, write_text
from qam_torch.system.locks import alone
from qam_torch.training import components
from qam_torch.training.callbacks.run_events import RunCallback
from qam_torch.training.evaluator import Evaluator, environments_for
from qam_torch.training.finished_run import finished_run
from qam_torch.training.online import build_collector, build_online
from qam_torch.training.resume import Saved, saved_run, trainer_steps_of
from qam_torch.training.schedule import Clock, clock_of
from qam_torch.training.summary import conclude, show_table
from qam_torch.training.threads import computing_threads
from qam_torch.training.trainer import build_trainer, quiet_lightning, train
from qam_torch.training.validation import check
from qam_torch.training.warm_start import adopt, initial_checkpoint, require_fitting
from qam_torch.types import QamError

__all__ = ["RunResult", "fit"]


PATIENCE_SECONDS = 5.0
"""For what is left of a run that was killed to end, too."""


class RunResult(NamedTuple):
    """What a run leaves in Python; everything is in the directory too.

    directory  the run directory
    summary    content of summary.json
    algorithm  the trained LightningModule, None if the run had been finished before
    resumed    whether it went on from a checkpoint that an earlier run had left in the directory
    """

    directory: Path
    summary: dict[str, Any]
    algorithm: Algorithm | None
    resumed: bool = False


def fit(config: DictConfig) -> RunResult:
    """Train and evaluate as configured, and leave the results in the run directory.

    config  from `qam_torch.compose`
    ->      RunResult

    Raises QamError, before anything is computed where possible, for values that make no sense, data that are damaged
    or missing, a directory that cannot be written to, a checkpoint of another run; and when training diverges.
    """
    quiet_lightning()
    check(config)
    directory = absolute(config.run_dir)
    finished = finished_run(directory, config)
    if finished is not None:
        print(f"this run is finished ({_amount_of_steps(finished)}, see {directory}/summary.json): nothing to do")
        return RunResult(directory, finished, None)
    prepare_directory(directory)
    with _alone_in(directory), computing_threads(config):
        return _fit(config, directory)


def _fit(config: DictConfig, directory: Path) -> RunResult:
    trainer = build_trainer(config)
    saved = saved_run(directory, config)
    resumed = saved is not None
    initial = initial_checkpoint(config) if saved is None else None
    clock = _clock(config, saved, initial)
    data = build_data(config, trainer.strategy.root_device)
    algorithm, arguments = components.build_algorithm(config, data.observation_dim, data.action_dim)
    components.arrange_update(algorithm, config, trainer.strategy.root_device, clock.updates(clock.steps))
    make = environment_maker(data.environment)
    collector = build_collector(config, algorithm, make)
    start = clock.offline_steps if initial is not None else 0 if saved is None else saved.step
    made = saved.trainer_steps if saved is not None else 0 if initial is None else trainer_steps_of(initial)
    assert data.transitions is not None
    module = TrainingData(
        transitions=data.transitions,
        horizon_length=config.algo.horizon_length,
        discount=arguments["discount"],
        batch_size=config.batch_size,
        seeds=algorithm.seeds,
        plan=clock.plan,
        num_steps=made + clock.trainer_steps(start),
        online=build_online(config, clock, collector, directory, data),
    )
    data = data._replace(transitions=None)  # the replay buffer takes their place, so nobody else is to hold them
    description = _description(config, data, algorithm, arguments)
    if saved is not None:
        require_same_run(saved.path, saved.content, description)
        algorithm.require_adoptable(saved.content)
    else:
        if initial is not None:
            require_fitting(initial, algorithm, description)
        directory = _fresh(directory)
        if initial is not None:
            target = directory / "checkpoints" / "last.ckpt"
            saved = adopt(initial, algorithm, module, description, target)
    RunPaths(directory).failure.unlink(missing_ok=True)
    write_text(directory / "config.yaml", OmegaConf.to_yaml(config, resolve=True))
    write_json(directory / "versions.json", versions())
    table = directory / "metrics.csv" if config.logger.csv else None
    metrics = MetricsFile(table, algorithm.seeds, algorithm.own_values)
    metrics.restart(None if saved is None else start)
    evaluator = _evaluator(config, algorithm, make, data.action_dim)
    loggers = components.build_loggers(config, directory, start)
    callback = RunCallback(clock, evaluator, metrics, loggers, directory, description, collector.statistics)
    trainer.callbacks.append(callback)  # type: ignore[attr-defined]
    _announce(config, data, algorithm, trainer, clock, start if initial is None else 0)
    checkpoint = None if saved is None else saved.path
    saved = initial = None  # their content is as large as all networks and the optimiser
    try:
        train(trainer, algorithm, module, checkpoint)
        summary = conclude(config, directory, data, algorithm, callback, evaluator)
    except (DivergedError, EnvironmentFailure) as error:
        kept = "none was saved yet"
        if callback.saved_step is not None:
            kept = f"{callback.last_path} ({_place(clock, callback.saved_step)})"
        with contextlib.suppress(QamError):  # the failure itself is what is to be told
            write_text(RunPaths(directory).failure, f"{error}\n")
        raise type(error)(f"{error}; last good checkpoint: {kept}") from error
    finally:
        evaluator.close()
    show_table(directory, summary)
    return RunResult(directory, summary, algorithm, resumed)


@contextlib.contextmanager
def _alone_in(directory: Path) -> Iterator[None]:
    """No other process makes the same run meanwhile; raises QamError where one does."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(alone(directory, PATIENCE_SECONDS))
        except TimeoutError:
            raise QamError(
                f"another process works in '{directory}': wait for its end, or give another run_dir"
            ) from None
        except OSError:  # nothing can be made beside it, as beside a mounted directory: nobody is kept out
            pass
        yield


def _description(config: DictConfig, data: Data, algorithm: Algorithm, arguments: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint says of this run, and what one has to say to be continued."""
    run = {
        **data.environment,
        "batch_size": config.batch_size,
        "data": data.source["sha256"],
        "proportion": config.data.proportion,
        "dtype": config.dtype,
        "init_from": config.init_from,
    }
    online = {name: config[name] for name in ("num_envs", "start_training", "utd_ratio", "buffer", "buffer_size")}
    return describe(algorithm, arguments, run, online)


def _evaluator(config: DictConfig, algorithm: Algorithm, make: partial, action_dim: int) -> Evaluator:
    count = environments_for(algorithm.members, config.eval_episodes, config.eval_environments)
    return Evaluator(lambda: components.build_pool(make, count, config.eval_workers), config.eval_episodes, action_dim)


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


def _clock(config: DictConfig, saved: Saved | None, initial: dict[str, Any] | None) -> Clock:
    """The schedule; the offline phase of a run that starts from a checkpoint is that checkpoint's."""
    if config.init_from is None:
        return clock_of(config)
    return clock_of(config, initial["global_step"] if initial is not None else saved and saved.offline_steps)


def _announce(
    config: DictConfig, data: Data, algorithm: Algorithm, trainer: L.Trainer, clock: Clock, start: int
) -> None:
    parameters = sum(p.numel() for p in algorithm.networks.parameters()) / algorithm.members
    seeds = told_seeds(algorithm)
    source = data.source
    offline = [] if config.init_from is not None else [f"{clock.offline_steps:,} updates"]
    online = [f"{clock.online_steps:,} environment steps"] if clock.online_steps else []
    print(
        f"{config.algo_name} on {title(data.environment)}, seed {seeds}: {', then '.join(offline + online)}, "
        f"{parameters:,.0f} parameters, {trainer.strategy.root_device}\n"
        f"data: {_amount(source)}, {source['origin']}, {source['path']}"
    )
    if start:
        print(f"continuing from {_place(clock, start)}")


def _place(clock: Clock, step: int) -> str:
    """ "update 300" or "online step 20"."""
    return f"update {step:,}" if clock.phase(step) == "offline" else f"online step {clock.online(step):,}"


def _amount_of_steps(summary: dict[str, Any]) -> str:
    online = summary["online_steps"]
    return f"{summary['updates']:,} updates" + (f", {online:,} environment steps" if online else "")


def _amount(source: dict[str, Any]) -> str:
    if "files" in source:
        return f"{source['files']:,} files that take turns"
    return f"{source['transitions']:,} transitions in {source['episodes']:,} episodes"
