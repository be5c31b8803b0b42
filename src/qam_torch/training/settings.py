"""Check the composed configuration and convert it to typed objects."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from omegaconf import DictConfig, OmegaConf

from qam_torch.algorithms.core.lookup import find_method
from qam_torch.config.groups import config_directory
from qam_torch.rollout.evaluation import require_execute_steps
from qam_torch.rollout.pools import environments_for
from qam_torch.suites import Request, suite_named
from qam_torch.system.extras import install_command
from qam_torch.system.files import absolute
from qam_torch.training.finished_run import uses_earlier_run
from qam_torch.training.method import Method
from qam_torch.training.online import Replay
from qam_torch.training.schedule import Schedule
from qam_torch.training.update import UpdateSettings
from qam_torch.types import QamError, is_integer, is_number, require

__all__ = ["EvaluationSettings", "RunSettings", "read_settings"]

CHECKED_ELSEWHERE: Mapping[str, Any] = {
    "task": None,
    "algo": {"discount": None, "horizon_length": None},
    "env": {},
    "trainer": {"accelerator": None, "devices": None},
    "logger": {},
}
"""Keys that every run needs. The suite, the method or a function below checks their values."""

Part = TypeVar("Part", Schedule, UpdateSettings, Replay, "EvaluationSettings")


@dataclass(frozen=True)
class EvaluationSettings:
    """How the policy is evaluated: the checked values of the keys of these names.

    Raises:
        QamError: a value is out of range.
    """

    eval_episodes: int
    eval_environments: int | None
    eval_workers: int | None
    compare_behavior: bool

    def __post_init__(self) -> None:
        require("eval_episodes", is_integer(self.eval_episodes, 1), self.eval_episodes, "an integer >= 1")
        for name, least in (("eval_environments", 1), ("eval_workers", 0)):
            value = getattr(self, name)
            require(name, value is None or is_integer(value, least), value, f"an integer >= {least}, or null")
        compare = self.compare_behavior
        require("compare_behavior", isinstance(compare, bool), compare, "true or false")


class RunSettings(NamedTuple):
    """The checked configuration of a run.

    Attributes:
        values: the whole configuration as plain values, which is the content of config.yaml.
        method: the method to train.
        request: the data and their environment.
        schedule: the configured schedule. If the run starts from another run's checkpoint, the offline phase changes.
        update: how an update is computed.
        evaluation: how the policy is evaluated.
        replay: how transitions of the online phase are stored.
        execute_steps: number of actions of a chunk that are executed before the next chunk is selected; None for all.
        online_workers: number of processes that step the environments of the online phase.
        init_from: path of another run's checkpoint to start from; None for a start without a checkpoint.
        continues: whether the run uses files of an earlier run in its directory.
        directory: path of the run directory.
        accelerator: Lightning's name of the type of device.
        devices: 1, or a list of one device index.
        csv: whether metrics.csv is written.
    """

    values: Mapping[str, Any]
    method: Method
    request: Request
    schedule: Schedule
    update: UpdateSettings
    evaluation: EvaluationSettings
    replay: Replay
    execute_steps: int | None
    online_workers: int
    init_from: str | None
    continues: bool
    directory: Path
    accelerator: str
    devices: int | list[int]
    csv: bool

    @property
    def environments(self) -> int:
        """Maximum number of environments of an evaluation, for all members together."""
        evaluation = self.evaluation
        return environments_for(self.method.members, evaluation.eval_episodes, evaluation.eval_environments)


def read_settings(config: DictConfig) -> RunSettings:
    """Check a composed configuration and convert it to typed objects.

    Args:
        config: configuration from `qam_torch.compose`.

    Raises:
        QamError: a key is missing, or a value is invalid, alone or together with other values.
    """
    _check_complete(cast("dict[str, Any]", OmegaConf.to_container(config)))
    values = cast("dict[str, Any]", OmegaConf.to_container(config, resolve=True))
    settings = RunSettings(
        values=values,
        method=_method(values),
        request=Request(values["env"], values["data"], values["task"]),
        schedule=_part(Schedule, values),
        update=_part(UpdateSettings, values),
        evaluation=_part(EvaluationSettings, values),
        replay=_part(Replay, values),
        execute_steps=values["execute_steps"],
        online_workers=values["online_workers"],
        init_from=values["init_from"],
        continues=uses_earlier_run(values),
        directory=absolute(values["run_dir"]),
        accelerator=values["trainer"]["accelerator"],
        devices=values["trainer"]["devices"],
        csv=values["logger"].get("csv", True),
    )
    suite_named(settings.request.env.get("source")).check(settings.request)
    settings.method.check()
    require_execute_steps(settings.execute_steps, settings.method.chunk_steps)
    _check_online(settings)
    require("resume", values["resume"] in (False, "auto"), values["resume"], "false or auto")
    require("skip_completed", isinstance(values["skip_completed"], bool), values["skip_completed"], "true or false")
    _check_data(values["data"])
    _check_trainer(settings)
    require("logger.csv", settings.csv in (True, False), settings.csv, "true or false")
    if values["logger"].get("wandb") and importlib.util.find_spec("wandb") is None:
        raise QamError(f"logger=wandb requires the wandb package: {install_command('wandb')}")
    return settings


def _method(values: Mapping[str, Any]) -> Method:
    options = dict(values["algo"])
    target = options.pop("_target_", None)
    require("algo._target_", isinstance(target, str), target, "the method's class, such as my_module.MyMethod")
    seeds = values["seeds"]
    require("seeds", seeds is None or isinstance(seeds, list), seeds, "a list such as [1,2,3]")
    kind = find_method(target, f"algo._target_={target}")
    own_seeds = [values["seed"]] if seeds is None else seeds
    return Method(values["algo_name"], kind, options, own_seeds, values["population"])


def _part(kind: type[Part], values: Mapping[str, Any]) -> Part:
    """Return an object of this class, whose attributes are keys of the configuration."""
    return kind(**{field.name: values[field.name] for field in fields(kind)})


def _check_complete(values: Mapping[str, Any]) -> None:
    """Require every key of train.yaml, and every key of other groups that a run reads.

    A value may only be null if the default is null, or if it is checked elsewhere.

    Args:
        values: the composed configuration, with interpolations.
    """
    whole = cast("dict[str, Any]", OmegaConf.to_container(OmegaConf.load(config_directory() / "train.yaml")))
    del whole["defaults"], whole["hydra"]
    for name, own in {**whole, **CHECKED_ELSEWHERE}.items():
        _require_value(name, values, own)
        if isinstance(own, dict):
            require(name, isinstance(values[name], dict), values[name], f"its keys, e.g. {name}.KEY=VALUE")
            for part, value in own.items():
                _require_value(f"{name}.{part}", values[name], value)


def _require_value(key: str, values: Mapping[str, Any], own: Any) -> None:
    name = key.rpartition(".")[2]
    if name not in values:
        raise QamError(f"~{key} removes a key that every run needs: give it a value instead")
    if values[name] is None and own is not None and not isinstance(own, dict):
        raise QamError(f"{key}=null is out of range: expected a value, or leave the key out")


def _check_data(data: Mapping[str, Any]) -> None:
    """Check the keys `data.*` that do not depend on the suite."""
    for name, least in (("generate_transitions", 1), ("seed", 0), ("shard_every", 1)):
        require(f"data.{name}", is_integer(data[name], least), data[name], f"an integer >= {least}")
    fraction, mirrors, normalize = data["fraction"], data["mirrors"], data["normalize"]
    require("data.fraction", is_number(fraction) and 0 < fraction <= 1, fraction, "a number in (0, 1]")
    require("data.normalize", normalize in ("none", "standard"), normalize, "none or standard")
    require("data.download", isinstance(data["download"], bool), data["download"], "true or false")
    listed = mirrors is None or (isinstance(mirrors, list) and all(isinstance(url, str) for url in mirrors))
    require("data.mirrors", listed, mirrors, "a list of URLs such as [https://host/datasets], or null")


def _check_trainer(settings: RunSettings) -> None:
    """Check the keys `trainer.*`. Whether this machine has the device is checked later, when the device is used."""
    name, devices = settings.accelerator, settings.devices
    require("trainer.accelerator", isinstance(name, str), name, "auto, cpu or gpu")
    one = devices[0] if isinstance(devices, list) and len(devices) == 1 else None
    chosen = is_integer(one, 0) or (is_integer(devices, 1) and devices == 1)
    require("trainer.devices", chosen, devices, "1, or a list of one GPU's index such as [1]: a run takes one device")


def _check_online(settings: RunSettings) -> None:
    """Check the keys of the online phase, and the keys on which it depends."""
    schedule, replay, start = settings.schedule, settings.replay, settings.init_from
    require("online_workers", is_integer(settings.online_workers, 0), settings.online_workers, "an integer >= 0")
    require(
        "init_from", start is None or isinstance(start, str), start, "the path of a .ckpt file or of a run, or null"
    )
    if schedule.online_steps == 0:
        require("init_from", start is None, start, "null without an online phase: give online_steps=...")
        return
    chunk, streams = settings.method.options["horizon_length"], schedule.num_envs
    if replay.buffer_size // streams < 2 * chunk:
        raise QamError(
            f"buffer_size={replay.buffer_size} is too small for num_envs={streams}: expected at least twice "
            f"algo.horizon_length={chunk} for each of them"
        )
    if schedule.online_steps < schedule.start_training:
        raise QamError(
            f"start_training={schedule.start_training} exceeds online_steps={schedule.online_steps}, so that no update "
            "would be made: lower it, or give more steps"
        )
    if replay.replay_mode == "balanced":
        batch, least = settings.update.batch_size, chunk * streams
        require("batch_size", batch % 2 == 0, batch, "an even number with replay_mode=balanced")
        require("start_training", schedule.start_training >= least, schedule.start_training,
                f"at least {least} with replay_mode=balanced, so that there is a chunk to draw")  # fmt: skip
