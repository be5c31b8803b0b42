"""Random draws by name, from one generator per population member."""

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
    """One generator per member, seeded by its seed and the stream's name only.

    Independent of the other members, so that a member draws the same as in a standalone run.
    """
    generators = []
    for seed in seeds:
        words = np.random.SeedSequence([seed, zlib.crc32(stream.encode())]).generate_state(2, np.uint32)
        state = int(words[0]) << 31 | int(words[1]) >> 1
        generators.append(torch.Generator(device=device).manual_seed(state))
    return generators


class _Kind(NamedTuple):
    """A stream's normal draws, or its uniform draws, concatenated and sampled in one call."""

    fill: Callable[..., Tensor]
    draws: dict[str, Draw]

    @property
    def sizes(self) -> list[int]:
        """Size of each draw."""
        return [math.prod(draw.shape) for draw in self.draws.values()]

    def named(self, numbers: Tensor) -> dict[str, Tensor]:
        """Split (..., n) into the draws, (..., *shape) each."""
        found = {}
        for (name, draw), flat in zip(self.draws.items(), numbers.split(self.sizes, dim=-1), strict=True):
            found[name] = flat.unflatten(-1, draw.shape)
            if draw.integers is not None:
                # A uniform number below 1 times n never rounds up to n, so that no integer exceeds n.
                found[name] = (found[name] * (draw.integers - draw.first + 1)).floor() + draw.first
        return found


def _kinds(draws: Mapping[str, Draw], stream: str) -> list[_Kind]:
    """The kinds of a stream, normal first, without empty ones."""
    kinds = [_Kind(Tensor.normal_, {}), _Kind(Tensor.uniform_, {})]
    for name, draw in draws.items():
        if draw.stream == stream:
            kinds[draw.uniform or draw.integers is not None].draws[name] = draw
    return [kind for kind in kinds if kind.draws]


class NamedNoise:
    """Draws all named noise of several updates; results do not depend on how calls group the updates.

    Args:
        draws: name -> Draw, what one update of one member consumes.
        seeds: one per member.
        stream: name of the random stream, so that two uses of a seed never share numbers; a `Draw` may add a
            substream.
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
        """Sample name -> (updates, P, *shape), distributed as each `Draw` sets.

        Args:
            updates: number of updates, >= 0.
            active: (P,) bool, members that draw, None: all; the others get zeros, their generators do not advance.
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
                # One update at a time: a GPU's generator advances per call, not per number, so one call for all updates
                # would give other numbers; also on a CPU, unless the size is a multiple of 16.
                for update in zip(*(row.unbind() for row in rows), strict=True):
                    for kind, numbers in zip(kinds, update, strict=True):
                        kind.fill(numbers, generator=generator)
            for kind, numbers in zip(kinds, drawn, strict=True):
                named |= kind.named(numbers)
        return {name: named[name] for name in self.draws}

    def state_dict(self) -> dict[str, Any]:
        """Generator states; restoring them continues the draws bit for bit."""
        return {"generators": [generator.get_state() for own in self.generators.values() for generator in own]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore generator states saved by `state_dict`."""
        generators = [generator for own in self.generators.values() for generator in own]
        for generator, saved in zip(generators, state["generators"], strict=True):
            generator.set_state(torch.as_tensor(saved).cpu())
