"""Compare a fast way of running updates with a slower one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["TOLERANCE", "Snapshot", "largest_difference", "first_line"]

TOLERANCE = 1e-5
"""Accepted difference, relative to an array's largest entry; equal bits are expected."""


class HasState(Protocol):
    """Interface that a snapshot needs."""

    adam: torch.optim.Adam

    def parameters(self) -> Iterator[Any]:
        """All parameters."""
        ...

    def buffers(self) -> Iterator[Tensor]:
        """All buffers."""
        ...


class Snapshot:
    """A copy of everything that an update changes: parameters, buffers and the optimizer's state.

    Args:
        algorithm: after at least one update, so that the optimizer has its state.
    """

    def __init__(self, algorithm: HasState) -> None:
        moments = (tensor for state in algorithm.adam.state.values() for tensor in state.values())
        self.tensors = [tensor.detach() for tensor in (*algorithm.parameters(), *algorithm.buffers(), *moments)]
        self.copies = [tensor.clone() for tensor in self.tensors]

    def restore(self) -> None:
        """Write the copy back, in place."""
        for tensor, copy in zip(self.tensors, self.copies, strict=True):
            tensor.copy_(copy)


@torch.no_grad()
def largest_difference(ours: Iterable[Tensor | None], theirs: Iterable[Tensor | None]) -> float:
    """The largest difference of pairs of arrays, relative to the largest finite entry of the second.

    Args:
        ours: arrays, or None if missing.
        theirs: expected arrays, or None.

    Returns:
        0 if all are equal, including infinite and NaN entries; inf if only one entry of a pair is finite, or only
        one array exists.
    """
    differences = []
    for our, their in zip(ours, theirs, strict=True):
        if our is None or their is None:
            if our is not their:
                return math.inf
            continue
        a, b = our.double(), their.double()
        equal = (a == b) | (a.isnan() & b.isnan())
        apart = torch.where(equal, 0.0, (a - b).abs()).nan_to_num(nan=math.inf, posinf=math.inf)
        scale = torch.where(b.isfinite(), b.abs(), 0.0)
        differences.append(torch.where(apart.max() > 0, apart.max() / scale.max(), 0.0))
    return float(torch.stack(differences).max()) if differences else 0.0


def first_line(error: Exception) -> str:
    """The first line of an error, or its type."""
    return next(iter(str(error).splitlines()), "")[:200] or type(error).__name__
