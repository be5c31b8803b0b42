"""From a configuration to the parts of a run: environment, data, algorithm, loggers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra.utils import get_class
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from qam_torch.algorithms import Algorithm
from qam_torch.data.files import file_hash, read_npz
from qam_torch.data.relabel import task_rewards
from qam_torch.data.sources import DEFAULT_DIRECTORY, ensure_dataset
from qam_torch.data.transitions import Transitions
from qam_torch.experiment.configuration import absolute
from qam_torch.rollout.environments import make_environment
from qam_torch.rollout.maze import MazeLayout, maze_layout
from qam_torch.rollout.pool import EnvironmentPool
from qam_torch.types import QamError, require

__all__ = ["Data", "build_algorithm", "build_data", "build_loggers", "build_pool", "check", "environment_maker", "seeds_of"]


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
    """Raise QamError for values that make no sense together, before anything is computed."""
    algo = config.algo
    if algo.get("fql_alpha") and algo.get("edit_scale"):
        raise QamError(
            f"got fql_alpha={algo.fql_alpha} and edit_scale={algo.edit_scale}, which exclude each other: "
            "use algo=qam_f with fql_alpha or algo=qam_e with edit_scale"
        )
    for name in ("batch_size", "eval_episodes"):
        require(name, isinstance(config[name], int) and config[name] >= 1, config[name], "an integer >= 1")
    require("task", config.task in (1, 2, 3, 4, 5), config.task, "OGBench's single tasks 1 to 5")
    require("resume", config.resume in ("never", "auto"), config.resume, "never or auto")
    require("dtype", config.dtype in ("float32", "float64"), config.dtype, "float32 or float64")
    require("env.reward", config.env.reward in ("dense", "sparse"), config.env.reward, "dense or sparse")
    require("data.proportion", 0 < config.data.proportion <= 1, config.data.proportion, "a number in (0, 1]")
    for seed in seeds_of(config):
        require("seed", isinstance(seed, int) and seed >= 0, seed, "an integer >= 0")


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

    directory = config.data.directory or DEFAULT_DIRECTORY
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
    kind = get_class(options.pop("_target_"))
    arguments = {
        "observation_dim": observation_dim,
        "action_dim": action_dim,
        "seeds": list(seeds_of(config)),
        **{str(name): value for name, value in options.items()},
    }
    try:
        algorithm = kind(**arguments)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise QamError(f"algo={config.algo_name} does not take this option ({error}): see `qam-train --help`") from None
    return algorithm.to(getattr(torch, config.dtype)), arguments


def build_loggers(config: DictConfig, directory: Path, update: int) -> Sequence[Logger]:
    """The loggers asked for; events after `update` of a run that is continued are hidden.

    Raises QamError when wandb is asked for and not installed.
    """
    loggers: list[Logger] = []
    if config.logger.tensorboard:
        loggers.append(TensorBoardLogger(directory, name="tensorboard", version="", purge_step=update + 1))
    if config.logger.wandb:
        try:
            from lightning.pytorch.loggers import WandbLogger

            loggers.append(WandbLogger(project=config.logger.wandb_project, save_dir=directory, name=config.run_name))
        except ModuleNotFoundError:
            raise QamError("logger.wandb=true needs the wandb package: pip install 'qam-torch[wandb]'") from None
    return loggers
