"""Where randomness enters: named draws, each population member from its own generator."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qam_torch.types import Draw

__all__ = ["NamedNoise", "member_generators"]


def member_generators(seeds: Sequence[int], stream: str, device: torch.device | str = "cpu") -> list[torch.Generator]:
    """One generator a member, a function of its seed and the stream's name alone.

    Independent of the other members, so that a member of a population draws what it would draw alone.
    """
    generators = []
    for seed in seeds:
        words = np.random.SeedSequence([seed, zlib.crc32(stream.encode())]).generate_state(2, np.uint32)
        state = int(words[0]) << 31 | int(words[1]) >> 1
        generators.append(torch.Generator(device=device).manual_seed(state))
    return generators


def _flat(draw: Draw) -> bool:
    """Whether it is made of uniform numbers."""
    return draw.uniform or draw.integers is not None


class NamedNoise:
    """Draws every named noise of a number of updates at once.

    draws   name -> Draw, what one update of one member consumes
    seeds   one a member
    stream  name of the random stream, so that two uses of a seed never share numbers; a `Draw` may have one below it
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

    def sample(self, updates: int, asked: Sequence[bool] | np.ndarray | None = None) -> dict[str, Tensor]:
        """-> name -> (updates, P, *shape), distributed as each `Draw` says.

        asked  (P,) bool  the members that draw, None: all; the others' generators stay, and they get zeros
        """
        named: dict[str, Tensor] = {}
        for own, generators in self.generators.items():
            for uniform in (False, True):
                draws = {n: d for n, d in self.draws.items() if d.stream == own and _flat(d) == uniform}
                if draws:
                    named |= self._sample(draws, uniform, generators, updates, asked)
        return {name: named[name] for name in self.draws}

    def _sample(
        self,
        draws: Mapping[str, Draw],
        uniform: bool,
        generators: Sequence[torch.Generator],
        updates: int,
        asked: Sequence[bool] | np.ndarray | None,
    ) -> dict[str, Tensor]:
        """Draws of one stream and one kind, side by side from one call for each member."""
        fill = torch.rand if uniform else torch.randn
        sizes = [math.prod(draw.shape) for draw in draws.values()]
        out = torch.empty(updates, self.members, sum(sizes), dtype=self.dtype, device=self.device)
        for p, generator in enumerate(generators):
            if asked is not None and not asked[p]:
                out[:, p] = 0
                continue
            out[:, p] = fill(updates, sum(sizes), generator=generator, dtype=self.dtype, device=self.device)
        named = {}
        for (name, draw), flat in zip(draws.items(), out.split(sizes, dim=-1), strict=True):
            drawn = flat.unflatten(-1, draw.shape)
            # A uniform number below 1 times n never rounds up to n, so that no integer exceeds n.
            named[name] = drawn
            if draw.integers is not None:
                named[name] = (drawn * (draw.integers - draw.first + 1)).floor() + draw.first
        return named

    def state_dict(self) -> dict[str, Any]:
        """Generator states; restoring them continues the draws bit for bit."""
        return {"generators": [generator.get_state() for own in self.generators.values() for generator in own]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore generator states saved by `state_dict`."""
        generators = [generator for own in self.generators.values() for generator in own]
        for generator, saved in zip(generators, state["generators"], strict=True):
            generator.set_state(torch.as_tensor(saved).cpu())
