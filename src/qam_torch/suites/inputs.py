"""What a run is fed with: transitions on the training device, and the environment that they belong to.

Each source of `env.source` is a function here that finds its data, checks them and says what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig

from qam_torch.data.custom_npz import custom_transitions
from qam_torch.data.dataset_files import DEFAULT_DIRECTORY, dataset_checksum, dataset_path, ensure_dataset, shard_files
from qam_torch.data.minari import dataset_hash, environment_spec, minari_transitions, open_minari
from qam_torch.data.ogbench_format import file_hash, read_npz
from qam_torch.data.relabel import TaskRewards
from qam_torch.data.shards import Shards
from qam_torch.data.transitions import Transitions
from qam_torch.envs.gymnasium_registry import make_registered
from qam_torch.envs.maze import maze_layout
from qam_torch.suites.environments import environment_maker
from qam_torch.system.console import Bars
from qam_torch.system.files import absolute, prepare_directory
from qam_torch.types import MazeLayout, QamError

__all__ = ["Data", "build_data", "load_file"]


class Data(NamedTuple):
    """A task's transitions on the training device, and where they come from.

    transitions      on the device, or the files that take turns there; None once they are handed on
    observation_dim  O
    action_dim       A
    source           name, path, origin and sha256 of the data, and how much there is of them
    environment      what the environment is remembered by, see `experiment.environments`
    layout           the map, for mazes
    """

    transitions: Transitions | Shards | None
    observation_dim: int
    action_dim: int
    source: dict[str, Any]
    environment: dict[str, Any]
    layout: MazeLayout | None = None


def build_data(config: DictConfig, device: torch.device) -> Data:
    """Find, make or fetch the data set, check it, and put it on the device."""
    data = _SOURCES[config.env.source](config, device, getattr(torch, config.dtype))
    source, proportion = {**data.source, "proportion": config.data.proportion}, config.data.proportion
    if isinstance(data.transitions, Shards):
        shards = data.transitions.front(proportion)
        return data._replace(transitions=shards, source={**source, "files": len(shards.files)})
    assert data.transitions is not None
    transitions = data.transitions.proportion(proportion)
    held = {"transitions": transitions.num_transitions, "episodes": transitions.num_episodes}
    return data._replace(transitions=transitions, source={**source, **held})


# OGBench's tasks


def _ogbench(config: DictConfig, device: torch.device, dtype: torch.dtype) -> Data:
    known = {"env_name": config.env.dataset, "task": config.task, "reward": config.env.reward}
    if config.data.path is None:
        path, origin, sha256 = _ensure(config)
    else:
        path, origin, sha256 = absolute(config.data.path), "given", ""
    environment = environment_maker(known)()
    try:
        assert environment.spec is not None
        assert environment.observation_space.shape and environment.action_space.shape
        sizes = (environment.observation_space.shape[0], environment.action_space.shape[0])
        rewards = TaskRewards(environment, environment.spec.id, sparse=config.env.reward == "sparse")
        layout = maze_layout(environment) if "maze" in config.env.dataset else None
    finally:
        environment.close()
    load = partial(load_file, sizes=sizes, rewards=rewards, device=device, dtype=dtype)
    transitions = Shards(shard_files(path), load, config.data.swap_every) if path.is_dir() else load(path)
    if not sha256:  # only now, when it has been seen to be a file and not a pipe
        sha256 = dataset_checksum(path) if path.is_dir() else file_hash(path)
    source = {"name": config.env.dataset, "path": str(path), "origin": origin, "sha256": sha256}
    return Data(transitions, *sizes, source, known, layout)


def load_file(
    path: Path, sizes: tuple[int, int], rewards: TaskRewards, device: torch.device, dtype: torch.dtype
) -> Transitions:
    """One OGBench file with the rewards of a task, reading no more at a time than it needs.

    sizes    (O, A) of the environment
    rewards  the task's rule
    """
    judged = rewards(read_npz(path, *sizes, only=("terminals", "qpos", "button_states")))
    arrays = read_npz(path, *sizes, only=("terminals", "observations", "actions"))
    return Transitions.from_ogbench(arrays, *judged, device, dtype)


def _ensure(config: DictConfig) -> tuple[Path, str, str]:
    """Make or fetch with a progress bar where needed."""
    name, data = config.env.dataset, config.data
    directory = absolute(data.directory or DEFAULT_DIRECTORY)
    if not dataset_path(name, directory).exists():
        prepare_directory(directory, "data directory", "data.directory=...")
    try:
        with Bars(" transitions") as making, Bars("B", unit_scale=True) as fetching:
            return ensure_dataset(
                name,
                directory,
                data.generate_transitions,
                data.seed,
                progress=lambda made, total: making(f"making {name}", made, total),
                download=data.download,
                mirrors=data.mirrors,
                fetching=lambda file, there, total: fetching(f"fetching {file}", there, total),
            )
    except OSError as error:
        raise QamError(
            f"data directory '{directory}' cannot be used ({error.strerror}): give another with data.directory=..."
        ) from error


# Any other Gymnasium environment


def _minari(config: DictConfig, device: torch.device, dtype: torch.dtype) -> Data:
    name = config.env.dataset
    dataset = open_minari(name, config.data.download)
    transitions, known = _registered(
        name, environment_spec(dataset), lambda low, high: minari_transitions(dataset, low, high, device, dtype)
    )
    path = str(dataset.storage.data_path)
    source = {"name": name, "path": path, "origin": "minari", "sha256": dataset_hash(dataset)}
    return Data(transitions, transitions.observation_dim, transitions.action_dim, source, known)


def _npz(config: DictConfig, device: torch.device, dtype: torch.dtype) -> Data:
    path = absolute(config.env.path)
    transitions, known = _registered(
        config.env.env_id, config.env.env_id, lambda low, high: custom_transitions(path, low, high, device, dtype)
    )
    source = {"name": path.stem, "path": str(path), "origin": "given", "sha256": file_hash(path)}
    return Data(transitions, transitions.observation_dim, transitions.action_dim, source, known)


def _registered(
    name: str, spec: str, load: Callable[[np.ndarray, np.ndarray], Transitions]
) -> tuple[Transitions, dict[str, Any]]:
    """What `load` makes of the environment's action bounds, and what the environment is remembered by.

    An environment without a time limit gets the length of the longest episode, for evaluation has to end.
    """
    environment = make_registered(spec)
    try:
        transitions = load(environment.low, environment.high)
        assert environment.observation_space.shape
        size = environment.observation_space.shape[0]
        limit = "_max_episode_steps"  # a TimeLimit's; others may have it, and say None
        limited = environment.has_wrapper_attr(limit) and environment.get_wrapper_attr(limit) is not None
    finally:
        environment.close()
    if transitions.observation_dim != size:
        raise QamError(
            f"the data have observations of size {transitions.observation_dim} but environment '{name}' gives {size}: "
            "use the data that belong to this environment"
        )
    steps = None if limited else transitions.longest_episode
    return transitions, {"env_name": name, "env_spec": spec, "max_episode_steps": steps}


_SOURCES: dict[str, Callable[[DictConfig, torch.device, torch.dtype], Data]] = {
    "ogbench": _ogbench,
    "minari": _minari,
    "npz": _npz,
}
