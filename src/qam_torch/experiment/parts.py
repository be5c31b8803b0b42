"""From a configuration to the parts of a run: environment, data, algorithm, loggers."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import math
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from qam_torch.algorithms import Algorithm
from qam_torch.data.files import file_hash, read_npz
from qam_torch.data.relabel import task_rewards
from qam_torch.data.sources import DEFAULT_DIRECTORY, dataset_path, ensure_dataset
from qam_torch.data.transitions import Transitions
from qam_torch.experiment.clock import clock_of
from qam_torch.experiment.configuration import absolute
from qam_torch.experiment.records import prepare_directory
from qam_torch.rollout.environments import make_environment
from qam_torch.rollout.maze import MazeLayout, maze_layout
from qam_torch.rollout.pool import EnvironmentPool
from qam_torch.types import QamError, require

__all__ = [
    "Data",
    "build_algorithm",
    "build_data",
    "build_loggers",
    "build_pool",
    "check",
    "environment_maker",
    "seeds_of",
]


WORTH_COMPILING = 5000
"""Updates from which on the half minute of compiling the update is won back."""

WIDEST_COMPILED = 256
"""Widest hidden layer up to which compiling was seen to help; wider updates are all matrix products."""


class Data(NamedTuple):
    """A task's transitions on the training device, and where they come from.

    transitions  on the device
    source       path, origin and sha256 of the file, number of transitions and of episodes
    action_dim   A
    layout       the map, for mazes
    """

    transitions: Transitions
    source: dict[str, Any]
    action_dim: int
    layout: MazeLayout | None


def check(config: DictConfig) -> None:
    """Raise QamError for values that make no sense, alone or together, before anything is computed."""
    for name in ("algo", "env", "data", "trainer", "logger"):
        require(name, OmegaConf.is_dict(config[name]), config[name], f"its keys, e.g. {name}.KEY=VALUE")
    clock_of(config)
    algo = config.algo
    if algo.get("fql_alpha") and algo.get("edit_scale"):
        raise QamError(
            f"got fql_alpha={algo.fql_alpha} and edit_scale={algo.edit_scale}, which exclude each other: "
            "use algo=qam_f with fql_alpha or algo=qam_e with edit_scale"
        )
    for name, least in (("batch_size", 1), ("eval_episodes", 1)):
        require(name, _is_integer(config[name], least), config[name], f"an integer >= {least}")
    for name, least in (("eval_workers", 0), ("num_threads", 1)):
        value = config[name]
        require(name, value is None or _is_integer(value, least), value, f"an integer >= {least}, or null")
    require("task", config.task in (1, 2, 3, 4, 5), config.task, "OGBench's single tasks 1 to 5")
    require("resume", config.resume in ("never", "auto"), config.resume, "never or auto")
    require("dtype", config.dtype in ("float32", "float64"), config.dtype, "float32 or float64")
    require("env.reward", config.env.reward in ("dense", "sparse"), config.env.reward, "dense or sparse")
    for name, least in (("generate_transitions", 1), ("seed", 0)):
        require(f"data.{name}", _is_integer(config.data[name], least), config.data[name], f"an integer >= {least}")
    proportion = config.data.proportion
    require("data.proportion", _is_number(proportion) and 0 < proportion <= 1, proportion, "a number in (0, 1]")
    require("seeds", config.seeds is None or OmegaConf.is_list(config.seeds), config.seeds, "a list such as [1,2,3]")
    for seed in seeds_of(config):
        require("seed", _is_integer(seed, 0), seed, "an integer >= 0")
    if config.logger.wandb and importlib.util.find_spec("wandb") is None:
        raise QamError("logger.wandb=true needs the wandb package: pip install 'qam-torch[wandb]'")
    _check_options(config)


def _is_integer(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (lambda value: _is_integer(value, 1), "an integer >= 1"),
    "float": (_is_number, "a finite number"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "Sequence[int]": (
        lambda value: isinstance(value, list) and bool(value) and all(_is_integer(v, 1) for v in value),
        "a list of integers >= 1, such as [512,512]",
    ),
    "float | Sequence[float]": (
        lambda value: _is_number(value) or (isinstance(value, list) and bool(value) and all(map(_is_number, value))),
        "a finite number, or a list with one for each seed",
    ),
}
"""Annotation of a method's constructor argument -> what a configured value of it must be."""


def _check_options(config: DictConfig) -> None:
    """The method's options are ones its constructor takes, of the kinds it says; ranges are its own affair."""
    options = OmegaConf.to_container(config.algo, resolve=True)
    assert isinstance(options, dict)
    kind = _method(config)
    taken: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if "__init__" in vars(base) and issubclass(base, Algorithm):
            taken |= {name: str(one.annotation) for name, one in inspect.signature(base.__init__).parameters.items()}
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
    # The constructor checks the ranges; layers of one unit cost nothing.
    small = {name: [1] for name in options if taken.get(str(name)) == "Sequence[int]"}
    smaller = OmegaConf.merge(config, {"algo": small})
    assert isinstance(smaller, DictConfig)
    build_algorithm(smaller, observation_dim=1, action_dim=1)


def _method(config: DictConfig) -> type[Algorithm]:
    module, _, name = str(config.algo._target_).rpartition(".")
    try:
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise QamError(
            f"algo._target_={config.algo._target_} cannot be found ({error}): choose a method by algo=NAME"
        ) from None
    known = isinstance(kind, type) and issubclass(kind, Algorithm)
    require("algo._target_", known, config.algo._target_, "a subclass of qam_torch's Algorithm")
    return kind


def seeds_of(config: DictConfig) -> tuple[int, ...]:
    """One seed a member."""
    return (config.seed,) if config.seeds is None else tuple(config.seeds)


def environment_maker(config: DictConfig) -> partial:
    """A picklable function of no arguments that makes the task's environment."""
    return partial(make_environment, config.env.dataset, task=config.task, reward=config.env.reward)


def build_pool(make: partial, count: int, workers: int | None) -> EnvironmentPool:
    """`count` environments over `workers` processes; None takes the CPU cores, 0 stays in this process."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    chosen = cores if workers is None else workers
    return EnvironmentPool(make, count, workers=min(chosen, count) if chosen > 1 else 0)


def build_data(config: DictConfig, device: torch.device) -> Data:
    """Find or generate the data set, check it, and put it on the device with the task's rewards."""
    name = config.env.dataset
    environment = environment_maker(config)()
    try:
        observation_dim = environment.observation_space.shape[0]
        action_dim = environment.action_space.shape[0]
        if config.data.path is not None:
            path, origin = absolute(config.data.path), "given"
            arrays = read_npz(path, observation_dim, action_dim)
            sha256 = file_hash(path)
        else:
            path, origin, sha256 = _ensure(config)
            arrays = read_npz(path, observation_dim, action_dim)
        rewards, masks = task_rewards(environment, environment.spec.id, arrays, sparse=config.env.reward == "sparse")
        layout = maze_layout(environment) if "maze" in name else None
    finally:
        environment.close()
    transitions = Transitions.from_ogbench(arrays, rewards, masks, device, getattr(torch, config.dtype))
    transitions = transitions.proportion(config.data.proportion)
    source = {
        "name": name,
        "path": str(path),
        "origin": origin,
        "sha256": sha256,
        "proportion": config.data.proportion,
        "transitions": transitions.num_transitions,
        "episodes": transitions.num_episodes,
    }
    return Data(transitions, source, action_dim, layout)


def _ensure(config: DictConfig) -> tuple[Path, str, str]:
    """Generate with a progress bar where needed."""
    bar: list[tqdm] = []

    def progress(made: int, total: int) -> None:
        if not bar:
            bar.append(tqdm(total=total, desc=f"making {config.env.dataset}", unit=" transitions", disable=None))
        bar[0].update(made - bar[0].n)

    directory = absolute(config.data.directory or DEFAULT_DIRECTORY)
    if not dataset_path(config.env.dataset, directory).is_file():
        prepare_directory(directory, "data directory", "data.directory=...")
    transitions, seed = config.data.generate_transitions, config.data.seed
    try:
        return ensure_dataset(config.env.dataset, directory, transitions, seed, progress=progress)
    except OSError as error:
        raise QamError(
            f"data directory '{directory}' cannot be used ({error.strerror}): give another with data.directory=..."
        ) from error
    finally:
        for one in bar:
            one.close()


def build_algorithm(config: DictConfig, observation_dim: int, action_dim: int) -> tuple[Algorithm, dict[str, Any]]:
    """The method and its plain constructor arguments."""
    options = OmegaConf.to_container(config.algo, resolve=True)
    assert isinstance(options, dict)
    options.pop("_target_")
    kind = _method(config)
    arguments = {
        "observation_dim": observation_dim,
        "action_dim": action_dim,
        "seeds": list(seeds_of(config)),
        **{str(name): value for name, value in options.items()},
    }
    algorithm = kind(**arguments)
    return algorithm.to(getattr(torch, config.dtype)), arguments


def wants_compilation(config: DictConfig, device: torch.device) -> bool:
    """Whether to compile the update: on a CPU with a C++ compiler, where the run is long and the networks are small
    enough to gain by it.

    Raises QamError when compile=true and there is no compiler.
    """
    require("compile", config.compile in (True, False, "auto"), config.compile, "true, false or auto")
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if config.compile is True and compiler is None:
        raise QamError("compile=true needs a C++ compiler and found none: install g++, or give compile=false")
    widest = max(*config.algo.actor_hidden_dims, *config.algo.value_hidden_dims)
    pays = config.updates >= WORTH_COMPILING and widest <= WIDEST_COMPILED
    if config.compile is not True and (compiler is None or not pays):
        return False
    return config.compile is not False and device.type == "cpu"


def build_loggers(config: DictConfig, directory: Path, update: int) -> Sequence[Logger]:
    """The loggers asked for; events after `update` of a run that is continued are hidden."""
    loggers: list[Logger] = []
    if config.logger.tensorboard:
        loggers.append(TensorBoardLogger(directory, name="tensorboard", version="", purge_step=update + 1))
    if config.logger.wandb:
        from lightning.pytorch.loggers import WandbLogger

        loggers.append(WandbLogger(project=config.logger.wandb_project, save_dir=directory, name=config.run_name))
    return loggers
