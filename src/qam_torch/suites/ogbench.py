"""Suite for OGBench's single tasks: data files, which are downloaded or generated if needed, and environments."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from qam_torch.data.dataset_files import (
    DEFAULT_DIRECTORY,
    dataset_checksum,
    dataset_path,
    ensure_dataset,
    shard_files,
)
from qam_torch.data.ogbench_format import file_hash, read_npz
from qam_torch.data.relabel import TaskRewards
from qam_torch.data.shards import Shards
from qam_torch.data.transitions import Transitions
from qam_torch.envs.maze import maze_layout
from qam_torch.envs.ogbench import environment_id, make_environment
from qam_torch.suites.base import Request, TaskData
from qam_torch.system.console import Bars
from qam_torch.system.files import absolute, prepare_directory
from qam_torch.types import QamError, is_integer, require

__all__ = ["OGBench", "load_file"]

_TASKS = (1, 2, 3, 4, 5)


class OGBench:
    """Datasets in OGBench's format. The rewards of a task are computed from the states in the file."""

    def check(self, request: Request) -> None:
        """See `Suite.check`."""
        task, reward = request.task, request.env.get("reward")
        require("task", is_integer(task, 1) and task in _TASKS, task, "OGBench's single tasks 1 to 5")
        require("env.reward", reward in ("dense", "sparse"), reward, "dense or sparse")
        environment_id(str(request.env.get("dataset")), task)

    def load(self, request: Request, device: torch.device, dtype: torch.dtype) -> TaskData:
        """See `Suite.load`. For a directory of several files, check the headers of all files and return `Shards`."""
        known = {
            "source": "ogbench",
            "env_name": request.env["dataset"],
            "task": request.task,
            "reward": request.env["reward"],
        }
        if request.data["path"] is None:
            path, origin, sha256 = _ensure(request)
        else:
            path, origin, sha256 = absolute(request.data["path"]), "given", ""
        environment = self.make(known)()
        try:
            assert environment.spec is not None
            assert environment.observation_space.shape and environment.action_space.shape
            sizes = (environment.observation_space.shape[0], environment.action_space.shape[0])
            rewards = TaskRewards(environment, environment.spec.id, sparse=request.env["reward"] == "sparse")
            layout = maze_layout(environment) if "maze" in request.env["dataset"] else None
        finally:
            environment.close()
        load = partial(load_file, sizes=sizes, rewards=rewards, device=device, dtype=dtype)
        if path.is_dir():
            files = shard_files(path)
            for file in files:
                read_npz(file, *sizes, only=())
            transitions: Transitions | Shards = Shards(files, load, request.data["shard_every"])
        else:
            transitions = load(path)
        if not sha256:  # hashed only after reading, which rejects pipes and other paths that are not files
            sha256 = dataset_checksum(path) if path.is_dir() else file_hash(path)
        source = {"name": request.env["dataset"], "path": str(path), "origin": origin, "sha256": sha256}
        return TaskData(transitions, *sizes, source, known, layout)

    def make(self, environment: Mapping[str, Any], video: bool = False) -> partial:
        """See `Suite.make`."""
        name, task, reward = (environment[key] for key in ("env_name", "task", "reward"))
        rendering: dict[str, Any] = {"draft": True, "width": 320, "height": 320} if video else {}
        return partial(make_environment, name, task=task, reward=reward, **rendering)

    def title(self, environment: Mapping[str, Any]) -> str:
        """See `Suite.title`."""
        return f"{environment['env_name']}, task {environment['task']}"


def load_file(
    path: Path, sizes: tuple[int, int], rewards: TaskRewards, device: torch.device, dtype: torch.dtype
) -> Transitions:
    """Read one OGBench file and compute the rewards of a task.

    To save memory, the arrays for the rewards and the arrays of the transitions are read one after the other.

    Args:
        path: path of the file.
        sizes: (O, A) of the environment.
        rewards: function that computes the task's rewards and masks.
        device: device of the transitions.
        dtype: dtype of the transitions.
    """
    rewards_and_masks = rewards(read_npz(path, *sizes, only=("terminals", "qpos", "button_states")))
    arrays = read_npz(path, *sizes, only=("terminals", "observations", "actions"))
    return Transitions.from_ogbench(arrays, *rewards_and_masks, device, dtype)


def _ensure(request: Request) -> tuple[Path, str, str]:
    """Return path, origin and sha256 of the dataset. Generate or download it with a progress bar if needed."""
    name, data = request.env["dataset"], request.data
    directory = absolute(data["directory"] or DEFAULT_DIRECTORY)
    if not dataset_path(name, directory).exists():
        prepare_directory(directory, "data directory", "data.directory=...")
    try:
        with Bars(" transitions") as generating, Bars("B", unit_scale=True) as fetching:
            return ensure_dataset(
                name,
                directory,
                data["generate_transitions"],
                data["seed"],
                progress=lambda made, total: generating(f"making {name}", made, total),
                download=data["download"],
                mirrors=data["mirrors"],
                fetching=lambda file, there, total: fetching(f"fetching {file}", there, total),
            )
    except OSError as error:
        raise QamError(
            f"data directory '{directory}' cannot be used ({error.strerror}): give another with data.directory=..."
        ) from error
