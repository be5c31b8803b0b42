"""Draw batches of action chunks for a population. Each member has a separate random generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from qam_torch.types import Batch, QamError, require

__all__ = ["ChunkSampler", "Windows"]

# Makes the generators here independent of others with the same seed.
_STREAM = 0x5A3B1E


class Windows(Protocol):
    """Windows of a dataset or of a replay buffer, from which batches are drawn."""

    horizon_length: int

    @property
    def device(self) -> torch.device:
        """Device of the batches."""
        ...

    def draw(self, updates: int, batch_size: int, generator: torch.Generator, member: int = 0) -> Tensor:
        """Draw starts (U, B) of the batches of the member with this index."""
        ...

    def gather(self, starts: Tensor) -> Batch:
        """The windows at starts (U, P, B), in fields (U, P, B, ...)."""
        ...


class ChunkSampler:
    """Draws windows with one random generator per member of a population.

    Args:
        windows: windows from which batches are drawn. They may be replaced between draws by others on the same device.
        batch_size: windows per member and update B, at least 1.
        seeds: one non-negative int per member. A member's draws depend only on its seed.

    Raises:
        QamError: the batch size is below 1, there are no seeds, or a seed is negative.
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
        """Number of members, P."""
        return len(self.generators)

    def sample(self, updates: int = 1) -> Batch:
        """Draw a stack of `updates` batches, with fields (U, P, B, ...). Nothing is copied to the host.

        Starts are drawn for one update at a time. So the windows of an update do not depend on how updates are grouped
        into calls.
        """
        require("updates", updates >= 1, updates, "an integer >= 1")
        rows = self.batch_size
        draws = [self.windows.draw(updates, rows, generator, p) for p, generator in enumerate(self.generators)]
        return self.windows.gather(torch.stack(draws, dim=1))

    def empty(self) -> Batch:
        """An empty stack of batches (0, P, B, ...), without random draws."""
        device = self.generators[0].device
        return self.windows.gather(torch.empty(0, self.num_members, self.batch_size, dtype=torch.int64, device=device))

    def state_dict(self) -> dict[str, Any]:
        """The states of the generators. With the same windows, a sampler that loads them draws the same batches."""
        return {
            "generators": [generator.get_state() for generator in self.generators],
            "batch_size": self.batch_size,
            "horizon_length": self.windows.horizon_length,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state from `state_dict`. Raises QamError if members, batch size or chunk length differ."""
        present = {
            "members": self.num_members,
            "batch_size": self.batch_size,
            "horizon_length": self.windows.horizon_length,
        }
        saved = {**state, "members": len(state["generators"])}
        for name, value in present.items():
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
