"""Estimate the memory that a run needs, before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from qam_torch.algorithms import Algorithm
from qam_torch.data.datamodule import TrainingData
from qam_torch.data.windows import ChunkWindows
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.system.console import readable_size
from qam_torch.training.online import Replay
from qam_torch.training.schedule import Schedule

__all__ = ["announce_memory", "needed_memory"]

NOTEWORTHY = 4e9
"""A run prints its memory if it needs at least this many bytes."""

PROGRAM = 600_000_000
"""Bytes that Python, torch and other libraries need."""


def needed_memory(
    module: TrainingData, algorithm: Algorithm, pool: EnvironmentPool, schedule: Schedule, replay: Replay
) -> dict[str, int]:
    """Purpose -> bytes. With a GPU, the first three are in GPU memory.

    Args:
        module: the run's data module, with the windows of the data or of their first file.
        algorithm: the run's algorithm.
        pool: the environments of its evaluations.
        schedule: the run's schedule.
        replay: settings of the replay buffer.
    """
    windows = module.sampler.windows
    assert isinstance(windows, ChunkWindows)
    data = storage_bytes([*_tensors(windows.transitions), *_tensors(windows.table)])
    networks = storage_bytes(algorithm.networks.parameters())
    needed = {
        "data": data * (1 if module.rotation is None else 2),  # one file is read while another is used
        "networks, gradients and optimizer": 4 * networks + storage_bytes(algorithm.targets.parameters()),
        "replay buffer": 0,
        "environments": pool.memory() or pool.count * pool.environment_bytes,
        "program": PROGRAM,
    }
    if schedule.online_steps:
        members, chunk = algorithm.members, algorithm.horizon_length
        streams = members * schedule.num_envs
        rows = streams * (replay.capacity(schedule, chunk) + chunk - 1) + members * (chunk - 1)
        states, actions = windows.transitions.observation_dim, windows.transitions.action_dim
        numbers_per_row = 2 * states + actions + 2 + len(windows.discounts)
        needed["replay buffer"] = rows * (numbers_per_row * windows.transitions.states.element_size() + 2 * 8)
        needed["environments"] += streams * pool.environment_bytes
    return needed


def announce_memory(needed: Mapping[str, int]) -> None:
    """Print how much memory a run needs, if it is at least NOTEWORTHY bytes."""
    total = sum(needed.values())
    if total >= NOTEWORTHY:
        parts = sorted(((size, name) for name, size in needed.items() if size), reverse=True)
        described = ", ".join(f"{name} {readable_size(size)}" for size, name in parts)
        print(f"memory: about {readable_size(total)} ({described})")


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the tensors' storages. Shared storages count once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def _tensors(holder: object) -> Iterator[Tensor]:
    """The tensors among the attributes of an object."""
    return (value for value in vars(holder).values() if isinstance(value, torch.Tensor))
