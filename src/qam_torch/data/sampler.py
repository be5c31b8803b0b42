"""Draws batches of action chunks for a population; a member's windows depend only on its own generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from qam_torch.types import Batch, QamError, require

__all__ = ["ChunkSampler", "Windows"]

# Separates a member's index stream from other generators with the same seed.
_STREAM = 0x5A3B1E


class Windows(Protocol):
    """Windows to sample from: of a dataset, or of a replay buffer, which grows."""

    horizon_length: int

    @property
    def device(self) -> torch.device:
        """Device of the batches."""
        ...

    def draw(self, updates: int, batch_size: int, generator: torch.Generator, member: int = 0) -> Tensor:
        """Starts (U, B) of one member's batches; `member` is its index."""
        ...

    def gather(self, starts: Tensor) -> Batch:
        """The windows at starts (U, P, B), in fields (U, P, B, ...)."""
        ...


class ChunkSampler:
    """Draws windows with one random generator per member of a population.

    Args:
        windows: to draw from; may be replaced between draws by windows on the same device.
        batch_size: B, windows per member and update, at least 1.
        seeds: one non-negative int per member; a member draws the same windows in any population.

    Raises:
        QamError: the batch size is below 1, or there is no seed or a negative one.
    """

    def __init__(self, windows: Windows, batch_size: int, seeds: Sequence[int]) -> None:
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

        Every member draws from its own generator, the starts of one update at a time: a member's windows of an update
        do not depend on how updates are grouped into calls.
        """
        require("updates", updates >= 1, updates, "an integer >= 1")
        rows = self.batch_size
        draws = [self.windows.draw(updates, rows, generator, p) for p, generator in enumerate(self.generators)]
        return self.windows.gather(torch.stack(draws, dim=1))

    def nothing(self) -> Batch:
        """An empty stack of batches (0, P, B, ...), without random draws."""
        device = self.generators[0].device
        return self.windows.gather(torch.empty(0, self.num_members, self.batch_size, dtype=torch.int64, device=device))

    def state_dict(self) -> dict[str, Any]:
        """The members' generators; with the same windows, a sampler that loads them draws the same batches."""
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
                "checkpoint is from another device type, whose random state cannot be used here: "
                "resume on that device, or start an online phase with init_from"
            )
        for generator, generator_state in zip(self.generators, state["generators"], strict=True):
            generator.set_state(generator_state.cpu())


def _member_generator(seed: int, device: torch.device) -> torch.Generator:
    if seed < 0:
        raise QamError(f"seed={seed} is negative: give 0 or more")
    generator = torch.Generator(device=device)
    word = np.random.SeedSequence([seed, _STREAM]).generate_state(1, np.uint64)[0]
    return generator.manual_seed(int(word >> np.uint64(1)))
