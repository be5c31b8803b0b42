"""Named random draws, with one generator per population member."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from qam_torch.types import Draw

__all__ = ["NamedNoise", "member_generators"]


def member_generators(seeds: Sequence[int], stream: str, device: torch.device | str = "cpu") -> list[torch.Generator]:
    """Create one generator per member, seeded only by the member's seed and the stream's name.

    A generator does not depend on other members, so that each member draws the same numbers as in a standalone run.
    """
    generators = []
    for seed in seeds:
        words = np.random.SeedSequence([seed, zlib.crc32(stream.encode())]).generate_state(2, np.uint32)
        state = int(words[0]) << 31 | int(words[1]) >> 1
        generators.append(torch.Generator(device=device).manual_seed(state))
    return generators


class _Kind(NamedTuple):
    """All normal draws of a stream, or all uniform draws. They are concatenated and sampled in one call.

    Integer draws are computed from uniform draws.
    """

    fill: Callable[..., Tensor]
    draws: dict[str, Draw]

    @property
    def sizes(self) -> list[int]:
        """The size of each draw."""
        return [math.prod(draw.shape) for draw in self.draws.values()]

    def named(self, numbers: Tensor) -> dict[str, Tensor]:
        """Split numbers (..., n) into the draws: name -> (..., *shape)."""
        found = {}
        for (name, draw), flat in zip(self.draws.items(), numbers.split(self.sizes, dim=-1), strict=True):
            found[name] = flat.unflatten(-1, draw.shape)
            if draw.integers is not None:
                # A uniform number below 1 times n never rounds up to n, so that no integer exceeds `draw.integers`.
                found[name] = (found[name] * (draw.integers - draw.first + 1)).floor() + draw.first
        return found


def _kinds(draws: Mapping[str, Draw], stream: str) -> list[_Kind]:
    """Return the nonempty kinds of draws of a stream, normal draws first."""
    kinds = [_Kind(Tensor.normal_, {}), _Kind(Tensor.uniform_, {})]
    for name, draw in draws.items():
        if draw.stream == stream:
            kinds[draw.uniform or draw.integers is not None].draws[name] = draw
    return [kind for kind in kinds if kind.draws]


class NamedNoise:
    """Sample all named noise of several updates. The results do not depend on how calls group the updates.

    Args:
        draws: name -> Draw, the noise that one update of one member consumes.
        seeds: one seed per member.
        stream: name of the random stream. Streams with different names use different random numbers for the same seed.
            A `Draw` may name a substream.
        device: device of the generators and draws.
        dtype: dtype of the draws.
    """

    def __init__(
        self,
        draws: Mapping[str, Draw],
        seeds: Sequence[int],
        stream: str,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.draws, self.dtype, self.device = dict(draws), dtype, torch.device(device)
        self.members = len(seeds)
        self.generators = {
            own: member_generators(seeds, f"{stream}/{own}" if own else stream, device)
            for own in dict.fromkeys(["", *(draw.stream for draw in draws.values())])
        }

    def sample(self, updates: int, active: Sequence[bool] | np.ndarray | None = None) -> dict[str, Tensor]:
        """Sample the noise of several updates.

        Args:
            updates: number of updates, >= 0.
            active: (P,) bool, true for members that draw; None for all members. Other members get zeros, and their
                generators do not advance.

        Returns:
            name -> (updates, P, *shape), with the distribution that each `Draw` defines.
        """
        named: dict[str, Tensor] = {}
        for own, generators in self.generators.items():
            kinds = _kinds(self.draws, own)
            sizes = [(updates, self.members, sum(kind.sizes)) for kind in kinds]
            drawn = [torch.empty(size, dtype=self.dtype, device=self.device) for size in sizes]
            for p, generator in enumerate(generators):
                rows = [numbers[:, p] for numbers in drawn]
                if active is not None and not active[p]:
                    for row in rows:
                        row.zero_()
                    continue
                # Each update is sampled separately. A GPU's generator advances per call, not per number. Therefore one
                # call for all updates would give different numbers. On a CPU, too, unless the size is a multiple of 16.
                for update in zip(*(row.unbind() for row in rows), strict=True):
                    for kind, numbers in zip(kinds, update, strict=True):
                        kind.fill(numbers, generator=generator)
            for kind, numbers in zip(kinds, drawn, strict=True):
                named |= kind.named(numbers)
        return {name: named[name] for name in self.draws}

    def state_dict(self) -> dict[str, Any]:
        """Return the generator states. Restoring them continues the draws bit for bit."""
        return {"generators": [generator.get_state() for own in self.generators.values() for generator in own]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore generator states saved by `state_dict`."""
        generators = [generator for own in self.generators.values() for generator in own]
        for generator, saved in zip(generators, state["generators"], strict=True):
            generator.set_state(torch.as_tensor(saved).cpu())
