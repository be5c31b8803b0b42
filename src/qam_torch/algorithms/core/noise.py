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


def _as_drawn(numbers: Tensor, draw: Draw) -> Tensor:
    """Normal or uniform numbers as the draw asks for them."""
    if draw.integers is None:
        return numbers
    # A uniform number below 1 times n never rounds up to n, so that no integer exceeds n.
    return (numbers * (draw.integers - draw.first + 1)).floor() + draw.first


def _fill(normal: Tensor, uniform: Tensor, generator: torch.Generator) -> None:
    """Fill the rows (U, n) and (U, m) of a member, one update after another.

    A GPU's generator advances by calls and not by numbers, so that one call for all updates would draw others. A CPU's
    normal numbers also depend on how many there are, unless they are a multiple of 16.
    """
    for normals, uniforms in zip(normal.unbind(), uniform.unbind(), strict=True):
        if normals.numel():
            normals.normal_(generator=generator)
        if uniforms.numel():
            uniforms.uniform_(generator=generator)


class NamedNoise:
    """Draws every named noise of a number of updates, which does not depend on how updates are grouped into calls.

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
            of_stream = {name: draw for name, draw in self.draws.items() if draw.stream == own}
            by_kind = [{n: d for n, d in of_stream.items() if _flat(d) == flat} for flat in (False, True)]
            sizes = [[math.prod(draw.shape) for draw in draws.values()] for draws in by_kind]
            normal, uniform = (self._empty(updates, sum(each)) for each in sizes)
            for p, generator in enumerate(generators):
                if asked is not None and not asked[p]:
                    normal[:, p], uniform[:, p] = 0, 0
                    continue
                _fill(normal[:, p], uniform[:, p], generator)
            for draws, numbers, each in zip(by_kind, (normal, uniform), sizes, strict=True):
                for (name, draw), flat in zip(draws.items(), numbers.split(each, dim=-1), strict=True):
                    named[name] = _as_drawn(flat.unflatten(-1, draw.shape), draw)
        return {name: named[name] for name in self.draws}

    def _empty(self, updates: int, size: int) -> Tensor:
        return torch.empty(updates, self.members, size, dtype=self.dtype, device=self.device)

    def state_dict(self) -> dict[str, Any]:
        """Generator states; restoring them continues the draws bit for bit."""
        return {"generators": [generator.get_state() for own in self.generators.values() for generator in own]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore generator states saved by `state_dict`."""
        generators = [generator for own in self.generators.values() for generator in own]
        for generator, saved in zip(generators, state["generators"], strict=True):
            generator.set_state(torch.as_tensor(saved).cpu())
