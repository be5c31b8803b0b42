"""Estimate the disk space and memory that a run needs, from the sizes of its networks, records and dataset."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

from qam_torch.data.catalog import catalog_entry
from qam_torch.data.replay_log import ReplayLog
from qam_torch.envs.ogbench import make_environment
from qam_torch.training.method import Method
from qam_torch.training.settings import RunSettings

__all__ = ["CHECKPOINTS", "Cost", "EnvironmentSizes", "cost_of", "environment_sizes", "file_bytes"]

CHECKPOINTS = 2
"""Number of checkpoints per run: last.ckpt and best.ckpt."""

ADAM = 2
"""Number of values that Adam stores per trained parameter."""


class EnvironmentSizes(NamedTuple):
    """Sizes that depend on the environment.

    Attributes:
        observation_dim: O.
        action_dim: A.
        row_bytes: uncompressed bytes of one row of a data file.
    """

    observation_dim: int
    action_dim: int
    row_bytes: int


class Cost(NamedTuple):
    """The updates, disk space and memory that a run needs.

    Attributes:
        updates: number of gradient updates; each one updates all members.
        checkpoint: bytes of one checkpoint, without the states of the random generators.
        replay: bytes of replay.bin at the end of the run.
        device: bytes of networks, optimizer, gradients and dataset on the device. The replay buffer and the
            intermediate results of an update are not included.
    """

    updates: int
    checkpoint: int
    replay: int
    device: int


def cost_of(settings: RunSettings) -> Cost:
    """Estimate what a run needs.

    Args:
        settings: settings of one run on an OGBench dataset.

    Returns:
        The cost of the run.
    """
    schedule, members, name = settings.schedule, settings.method.members, settings.request.env["dataset"]
    observation_dim, action_dim, _ = environment_sizes(name)
    all_bytes, trained_bytes = _parameter_bytes(settings.method, settings.update.dtype, observation_dim, action_dim)
    record = ReplayLog(Path(), members, schedule.num_envs, observation_dim, action_dim).record
    dataset = catalog_entry(name)
    files = min(2, dataset.shards)  # with several files, one is in use while the next is read
    transition_bytes = 4 * (observation_dim + action_dim + 2)  # with reward and mask, in float32
    return Cost(
        updates=schedule.updates(schedule.steps),
        checkpoint=members * (all_bytes + ADAM * trained_bytes),
        replay=record.itemsize * (schedule.online_steps // schedule.num_envs),
        device=members * (all_bytes + (1 + ADAM) * trained_bytes)
        + files * dataset.episodes * dataset.steps * transition_bytes,
    )


def file_bytes(dataset: str) -> int:
    """Return the uncompressed bytes of a dataset's training and validation files.

    This is an upper bound on the disk space, because the files are compressed.

    Args:
        dataset: name of the dataset in the catalog.
    """
    known = catalog_entry(dataset)
    training = known.episodes * (known.steps + 1) * known.shards
    return (training + training // 10) * environment_sizes(dataset).row_bytes


@cache
def environment_sizes(dataset: str) -> EnvironmentSizes:
    """Create a dataset's environment, read its sizes, and close it.

    Args:
        dataset: name of the dataset in the catalog.
    """
    environment = make_environment(dataset)
    try:
        observation, _ = environment.reset(seed=0)
        assert environment.action_space.shape
        base: Any = environment.unwrapped
        action_dim = environment.action_space.shape[0]
        numbers = len(observation) + action_dim + base.data.qpos.size + base.data.qvel.size
        buttons = len(getattr(base, "_cur_button_states", ()))
        return EnvironmentSizes(len(observation), action_dim, 4 * numbers + 8 * buttons + 1)
    finally:
        environment.close()


def _parameter_bytes(method: Method, dtype: torch.dtype, observation_dim: int, action_dim: int) -> tuple[int, int]:
    """Return the bytes of one member's state, including Polyak copies, and the bytes of its trained parameters."""
    alone = method._replace(seeds=method.seeds[:1], population={})
    algorithm, _ = alone.build(observation_dim, action_dim, dtype)
    trained = [value for value in algorithm.networks.parameters() if value.requires_grad]
    return sum(value.nbytes for value in algorithm.state_dict().values()), sum(value.nbytes for value in trained)
