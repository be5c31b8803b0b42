"""What a run is fed with: the task's environment, and its transitions on the training device."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig
from tqdm import tqdm

from qam_torch.data.files import file_hash, read_npz
from qam_torch.data.relabel import task_rewards
from qam_torch.data.sources import DEFAULT_DIRECTORY, dataset_path, ensure_dataset
from qam_torch.data.transitions import Transitions
from qam_torch.experiment.configuration import absolute
from qam_torch.experiment.records import prepare_directory
from qam_torch.rollout.environments import make_environment
from qam_torch.rollout.maze import MazeLayout, maze_layout
from qam_torch.types import QamError

__all__ = ["Data", "build_data", "environment_maker"]


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


def environment_maker(config: DictConfig) -> partial:
    """A picklable function of no arguments that makes the task's environment."""
    return partial(make_environment, config.env.dataset, task=config.task, reward=config.env.reward)


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
