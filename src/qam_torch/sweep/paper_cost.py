"""What a run takes on disk and in memory, counted from the parts that it would be made of."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from qam_torch.config.population import own_seeds, seeds_of
from qam_torch.data.catalog import catalog_entry
from qam_torch.data.replay_buffer import ReplayWindows
from qam_torch.data.replay_log import ReplayLog
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.envs.ogbench import make_environment
from qam_torch.training.components import build_algorithm
from qam_torch.training.online import capacity
from qam_torch.training.schedule import clock_of

__all__ = ["CHECKPOINTS", "Needs", "World", "file_bytes", "held_bytes", "needs_of", "world"]

CHECKPOINTS = 2
"""last.ckpt and best.ckpt."""

ADAM = 2
"""Numbers that Adam remembers of each that it trains."""


class World(NamedTuple):
    """What an environment's sizes decide: O, A, and the bytes of a row of a data file, as arrays."""

    observation_dim: int
    action_dim: int
    row_bytes: int

    @property
    def sizes(self) -> tuple[int, int]:
        """(O, A)."""
        return self.observation_dim, self.action_dim


class Needs(NamedTuple):
    """What a run takes, but for its time.

    updates     gradient updates of all members together
    checkpoint  bytes of one of its checkpoints, without the random generators' states
    replay      bytes of replay.bin at the end
    device      bytes of networks, optimiser, gradients, data and replay buffer on the device: what is certain; what an
                update needs in between comes on top
    """

    updates: int
    checkpoint: int
    replay: int
    device: int


def needs_of(config: DictConfig) -> Needs:
    """What a run of this configuration takes."""
    clock, members, sizes = clock_of(config), len(seeds_of(config)), world(config.env.dataset).sizes
    held, trained = _parameters(config, sizes)
    record = ReplayLog(Path(), members, config.num_envs, *sizes).record
    return Needs(
        updates=clock.updates(clock.steps),
        checkpoint=members * (held + ADAM * trained),
        replay=record.itemsize * (clock.online_steps // config.num_envs),
        device=members * (held + (1 + ADAM) * trained) + _data_bytes(config, sizes, members),
    )


def file_bytes(dataset: str) -> int:
    """Bytes of a data set's files as arrays; as files they are compressed."""
    known = catalog_entry(dataset)
    training = known.episodes * (known.steps + 1) * known.shards
    return (training + training // 10) * world(dataset).row_bytes


@cache
def world(dataset: str) -> World:
    """The sizes of a data set's environment."""
    environment = make_environment(dataset)
    try:
        observation, _ = environment.reset(seed=0)
        assert environment.action_space.shape
        base: Any = environment.unwrapped
        numbers = len(observation) + environment.action_space.shape[0] + base.data.qpos.size + base.data.qvel.size
        buttons = len(getattr(base, "_cur_button_states", ()))
        return World(len(observation), environment.action_space.shape[0], 4 * numbers + 8 * buttons + 1)
    finally:
        environment.close()


def _parameters(config: DictConfig, sizes: tuple[int, int]) -> tuple[int, int]:
    """Bytes of one member's networks, Polyak copies included, and of those among them that are trained."""
    alone = OmegaConf.merge(config, {"seeds": None, "seed": own_seeds(config)[0], "population": {}})
    assert isinstance(alone, DictConfig)
    algorithm = build_algorithm(alone, *sizes)[0]
    trained = (value for value in algorithm.networks.parameters() if value.requires_grad)
    return _bytes(algorithm.state_dict().values()), _bytes(trained)


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


# Data on the device: the real tables for a few rows, and what each row more costs


def _data_bytes(config: DictConfig, sizes: tuple[int, int], members: int) -> int:
    """Of the data set while offline, or with a full replay buffer online, whichever is more."""
    known = catalog_entry(config.env.dataset)
    rows = (known.episodes * known.steps) * (1 if known.shards == 1 else 2)  # one file in use, the next one read
    chunk = config.algo.horizon_length
    few, more = (held_bytes(_windows(count, sizes, chunk)) for count in (100, 200))
    offline = (more - few) * rows // 100
    if config.online_steps == 0:
        return offline
    few, more, larger = (
        held_bytes(ReplayWindows(_windows(count, sizes, chunk), 1, 1, kept))
        for count, kept in ((100, 50), (200, 50), (100, 150))
    )
    kept = capacity(config) * config.num_envs * members
    return max(offline, ((more - few) * rows + (larger - few) * kept) // 100)


def _windows(count: int, sizes: tuple[int, int], chunk: int) -> ChunkWindows:
    """Windows of one episode of so many transitions, all zero."""
    rows = torch.arange(count)
    terminals = torch.zeros(count, dtype=torch.bool)
    transitions = Transitions(
        torch.zeros(count + 1, sizes[0]), rows, rows + 1, torch.zeros(count, sizes[1]), torch.zeros(count),
        torch.ones(count), terminals,
    )  # fmt: skip
    return ChunkWindows(transitions, chunk, 0.99)


def held_bytes(thing: object) -> int:
    """Bytes of all tensors that an object holds, each storage once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in _tensors(thing)}
    return sum(storages.values())


def _tensors(thing: object) -> Iterator[Tensor]:
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, tuple):
        for part in thing:
            yield from _tensors(part)
    elif type(thing).__module__.startswith("qam_torch"):
        for part in vars(thing).values():
            yield from _tensors(part)
