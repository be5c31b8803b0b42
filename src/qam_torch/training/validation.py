"""Validation of a composed configuration, before anything is computed."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from qam_torch.algorithms.core.signatures import PER_MEMBER, annotations_of
from qam_torch.config.groups import config_directory
from qam_torch.config.population import check_population, own_seeds
from qam_torch.data.replay_buffer import MODES
from qam_torch.suites import suite_named
from qam_torch.system.extras import install_command
from qam_torch.training.build_algorithm import build_algorithm, method_of
from qam_torch.training.request import request_of
from qam_torch.training.schedule import schedule_of
from qam_torch.types import PRECISIONS, QamError, is_integer, is_number, require

__all__ = ["check"]


def check(config: DictConfig) -> None:
    """Raise QamError for values that are invalid, alone or together."""
    _check_complete(config)
    for name in ("algo", "env", "data", "trainer", "logger", "callbacks", "population"):
        require(name, OmegaConf.is_dict(config[name]), config[name], f"its keys, e.g. {name}.KEY=VALUE")
    schedule_of(config)
    algo = config.algo
    if algo.get("fql_alpha") and algo.get("edit_scale"):
        raise QamError(
            f"got fql_alpha={algo.fql_alpha} and edit_scale={algo.edit_scale}, which exclude each other: "
            "use algo=qam_f with fql_alpha or algo=qam_e with edit_scale"
        )
    for name, least in (("batch_size", 1), ("eval_episodes", 1), ("eval_environments", 1)):
        require(name, is_integer(config[name], least), config[name], f"an integer >= {least}")
    require("online_workers", is_integer(config.online_workers, 0), config.online_workers, "an integer >= 0")
    for name, least in (("eval_workers", 0), ("num_threads", 1)):
        value = config[name]
        require(name, value is None or is_integer(value, least), value, f"an integer >= {least}, or null")
    suite_named(config.env.get("source")).check(request_of(config))
    _check_online(config)
    require("on_divergence", config.on_divergence in ("stop", "freeze"), config.on_divergence, "stop or freeze")
    require("resume", config.resume in (False, "auto"), config.resume, "false or auto")
    require("skip_completed", isinstance(config.skip_completed, bool), config.skip_completed, "true or false")
    require("precision", config.precision in PRECISIONS, config.precision, ", ".join(PRECISIONS))
    for name, least in (("generate_transitions", 1), ("seed", 0), ("shard_every", 1)):
        require(f"data.{name}", is_integer(config.data[name], least), config.data[name], f"an integer >= {least}")
    fraction = config.data.fraction
    require("data.fraction", is_number(fraction) and 0 < fraction <= 1, fraction, "a number in (0, 1]")
    require("data.download", isinstance(config.data.download, bool), config.data.download, "true or false")
    mirrors = config.data.mirrors
    listed = mirrors is None or (OmegaConf.is_list(mirrors) and all(isinstance(url, str) for url in mirrors))
    require("data.mirrors", listed, mirrors, "a list of URLs such as [https://host/datasets], or null")
    require("seeds", config.seeds is None or OmegaConf.is_list(config.seeds), config.seeds, "a list such as [1,2,3]")
    for seed in own_seeds(config):
        require("seed", is_integer(seed, 0), seed, "an integer >= 0")
    require("logger.csv", config.logger.get("csv", True) in (True, False), config.logger.get("csv"), "true or false")
    if config.logger.get("wandb") and importlib.util.find_spec("wandb") is None:
        raise QamError(f"logger=wandb requires the wandb package: {install_command('wandb')}")
    _check_options(config)


def _check_complete(config: DictConfig) -> None:
    """Require that no key of train.yaml was removed by ~key."""
    whole = OmegaConf.to_container(OmegaConf.load(config_directory() / "train.yaml"))
    assert isinstance(whole, dict)
    for name in map(str, whole.keys() - {"defaults", "hydra"}):
        parts = whole[name] if isinstance(whole[name], dict) and OmegaConf.is_dict(config.get(name)) else {}
        gone = [f"{name}.{part}" for part in parts if part not in config[name]] if name in config else [name]
        if gone:
            raise QamError(f"~{gone[0]} removes a key that every run needs: give it a value instead")


def _check_online(config: DictConfig) -> None:
    """Check the online phase and its replay buffer."""
    require("replay_mode", config.replay_mode in MODES, config.replay_mode, " or ".join(MODES))
    require("buffer_size", is_integer(config.buffer_size, 1), config.buffer_size, "an integer >= 1")
    start = config.init_from
    require("init_from", start is None or isinstance(start, str), start, "the path of a .ckpt file, or null")
    if config.online_steps == 0:
        require("init_from", start is None, start, "null without an online phase: give online_steps=...")
        return
    chunk, streams = config.algo.horizon_length, config.num_envs
    if config.buffer_size // streams < 2 * chunk:
        raise QamError(
            f"buffer_size={config.buffer_size} is too small for num_envs={streams}: expected at least twice "
            f"horizon_length={chunk} for each of them"
        )
    if config.online_steps < config.start_training:
        raise QamError(
            f"start_training={config.start_training} exceeds online_steps={config.online_steps}, so that no update "
            "would be made: lower it, or give more steps"
        )
    if config.replay_mode == "balanced":
        require("batch_size", config.batch_size % 2 == 0, config.batch_size, "an even number with replay_mode=balanced")
        least = chunk * streams
        require("start_training", config.start_training >= least, config.start_training,
                f"at least {least} with replay_mode=balanced, so that there is a chunk to draw")  # fmt: skip


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (lambda value: is_integer(value, 1), "an integer >= 1"),
    "float": (is_number, "a finite number"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "Sequence[int]": (
        lambda value: isinstance(value, list) and bool(value) and all(is_integer(v, 1) for v in value),
        "a list of integers >= 1, such as [512,512]",
    ),
    PER_MEMBER: (
        lambda value: is_number(value) or (isinstance(value, list) and bool(value) and all(map(is_number, value))),
        "a finite number, or a list with one for each seed",
    ),
}
"""Annotation of a method's constructor argument -> test of a configured value, and how to describe valid values."""


def _check_options(config: DictConfig) -> None:
    """Check names and types of the method's options; the constructor checks their ranges."""
    options = OmegaConf.to_container(config.algo, resolve=True)
    assert isinstance(options, dict)
    taken = annotations_of(method_of(config))
    for name, value in options.items():
        if name == "_target_":
            continue
        if name not in taken:
            known = [one for one in taken if one in options]
            near = difflib.get_close_matches(str(name), known, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else "leave it out, or choose the algo that has it"
            raise QamError(f"algo={config.algo_name} has no option '{name!s}': {hint}")
        if taken[name] in _KINDS:
            fits, expected = _KINDS[taken[name]]
            require(f"algo.{name}", fits(value), value, expected)
    check_population(config, method_of(config))
    # The constructor checks the ranges; layers of one unit cost nothing.
    small = {name: [1] for name in options if taken.get(str(name)) == "Sequence[int]"}
    smaller = OmegaConf.merge(config, {"algo": small})
    assert isinstance(smaller, DictConfig)
    build_algorithm(smaller, observation_dim=1, action_dim=1)
