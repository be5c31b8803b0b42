"""Snapshots and comparisons to check that fast updates give the same results as slower ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

__all__ = ["TOLERANCE", "Snapshot", "largest_difference", "first_line"]

TOLERANCE = 1e-5
"""Largest accepted difference, relative to an array's largest entry. Normally the results are bitwise equal."""


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
        algorithm: has made at least one update, so that the optimizer has a state.
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
def largest_difference(actual: Iterable[Tensor | None], expected: Iterable[Tensor | None]) -> float:
    """The largest difference over pairs of arrays, relative to the largest finite entry of the expected array.

    Args:
        actual: arrays; None for a missing one.
        expected: arrays, in the same order; None for a missing one.

    Returns:
        0 if all are equal, including infinite and NaN entries. inf if a pair has only one finite entry at some
        position, or only one array.
    """
    differences = []
    for first, second in zip(actual, expected, strict=True):
        if first is None or second is None:
            if first is not second:
                return math.inf
            continue
        a, b = first.double(), second.double()
        equal = (a == b) | (a.isnan() & b.isnan())
        distance = torch.where(equal, 0.0, (a - b).abs()).nan_to_num(nan=math.inf, posinf=math.inf)
        scale = torch.where(b.isfinite(), b.abs(), 0.0)
        differences.append(torch.where(distance.max() > 0, distance.max() / scale.max(), 0.0))
    return float(torch.stack(differences).max()) if differences else 0.0


def first_line(error: Exception) -> str:
    """The first line of an error's message, or the error's type if the message is empty."""
    return next(iter(str(error).splitlines()), "")[:200] or type(error).__name__
