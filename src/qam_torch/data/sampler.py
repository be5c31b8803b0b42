"""Draws action chunks for a population: which windows a batch holds is a matter of the members' generators alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import Batch, QamError, require

__all__ = ["ChunkSampler", "Windows"]

# Keeps a member's index stream apart from any other generator that is seeded from the same number.
_STREAM = 0x5A3B1E


class Windows(Protocol):
    """What a sampler draws from: `ChunkWindows` of a dataset, or `ReplayWindows` that grow."""

    horizon_length: int

    @property
    def device(self) -> torch.device:
        """Where the batches are made."""
        ...

    def draw(self, updates: int, batch_size: int, generator: torch.Generator) -> Tensor:
        """Starts (U, B) of one member's batches."""
        ...

    def gather(self, starts: Tensor) -> Batch:
        """The windows at starts (U, P, B), in fields (U, P, B, ...)."""
        ...


class ChunkSampler:
    """Windows of h consecutive transitions, drawn uniformly over all starts, per member of a population.

    transitions, horizon_length, discount, allow_short_episodes   see `ChunkWindows`
    batch_size  int >= 1   B, windows per member and update
    seeds       one non-negative int per member; a member draws the same windows in any population

    `windows` is what it draws from, and may be exchanged between two draws for others on the same device.

    Raises QamError for what `ChunkWindows` refuses, a batch size below 1, and bad seeds.
    """

    def __init__(
        self,
        transitions: Transitions,
        horizon_length: int,
        discount: float | Sequence[float],
        batch_size: int,
        seeds: Sequence[int],
        allow_short_episodes: bool = False,
    ) -> None:
        windows = ChunkWindows(transitions, horizon_length, discount, allow_short_episodes)
        self._start(windows, batch_size, seeds)

    @classmethod
    def over(cls, windows: Windows, batch_size: int, seeds: Sequence[int]) -> ChunkSampler:
        """A sampler of windows that are made already."""
        sampler = cls.__new__(cls)
        sampler._start(windows, batch_size, seeds)
        return sampler

    def _start(self, windows: Windows, batch_size: int, seeds: Sequence[int]) -> None:
        require("batch_size", batch_size >= 1, batch_size, "an integer >= 1")
        if len(seeds) == 0:
            raise QamError("seeds is empty: give one seed per member")
        self.windows = windows
        self.batch_size = batch_size
        self.generators = [_member_generator(seed, windows.device) for seed in seeds]

    @property
    def num_members(self) -> int:
        """P."""
        return len(self.generators)

    def sample(self, updates: int = 1) -> Batch:
        """Draw a stack of `updates` batches; fields are (U, P, B, ...). Nothing is read back to the host.

        Every member draws from its own generator, (U, B) starts at a time: on the CPU a member's stream of windows
        does not depend on how updates are grouped into calls.
        """
        require("updates", updates >= 1, updates, "an integer >= 1")
        draws = [self.windows.draw(updates, self.batch_size, generator) for generator in self.generators]
        return self.windows.gather(torch.stack(draws, dim=1))

    def nothing(self) -> Batch:
        """A stack of no batches, (0, P, B, ...); no generator moves."""
        device = self.generators[0].device
        return self.windows.gather(torch.empty(0, self.num_members, self.batch_size, dtype=torch.int64, device=device))

    def state_dict(self) -> dict[str, Any]:
        """The members' generators; over the same windows, a sampler that loads them draws what this one would."""
        return {
            "generators": [generator.get_state() for generator in self.generators],
            "batch_size": self.batch_size,
            "horizon_length": self.windows.horizon_length,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from `state_dict`'s result; raises QamError if members, batch size or chunk differ."""
        own = {
            "members": self.num_members,
            "batch_size": self.batch_size,
            "horizon_length": self.windows.horizon_length,
        }
        saved = {**state, "members": len(state["generators"])}
        for name, value in own.items():
            if saved[name] != value:
                raise QamError(
                    f"checkpoint's sampler has {name}={saved[name]} but this run has {value}: "
                    "resume with the same seeds, batch size and horizon_length"
                )
        if state["generators"][0].numel() != self.generators[0].get_state().numel():
            raise QamError(
                "checkpoint was written on another kind of device, whose random numbers cannot be continued here: "
                "resume where it was, or start an online phase from it with init_from"
            )
        for generator, generator_state in zip(self.generators, state["generators"], strict=True):
            generator.set_state(generator_state.cpu())


def _member_generator(seed: int, device: torch.device) -> torch.Generator:
    if seed < 0:
        raise QamError(f"seed={seed} is negative: give 0 or more")
    generator = torch.Generator(device=device)
    word = np.random.SeedSequence([seed, _STREAM]).generate_state(1, np.uint64)[0]
    return generator.manual_seed(int(word >> np.uint64(1)))
