"""Choose the number of CPU threads for updates and action selection."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

__all__ = ["computing_threads", "one_is_enough", "threads_sleep"]

SMALL, SMALL_ASLEEP = 8e6, 64e6
"""Largest numbers of multiplications in an update's largest matrix product for which a second thread does not help.

The second value is for threads that sleep between operations. The quickstart has four million multiplications."""


def threads_sleep() -> bool:
    """Check whether OpenMP's threads sleep between operations, so that each operation must wake them up."""
    return os.environ.get("OMP_WAIT_POLICY", "").strip().lower() == "passive" and "GOMP_SPINCOUNT" not in os.environ


def one_is_enough(widths: Sequence[int], rows: int) -> bool:
    """Check whether one thread is as fast as two, for an update or for action selection.

    Threads wait for each other after every operation. So if other processes use the same cores, an update with several
    threads also waits for them.

    Args:
        widths: widths of the hidden layers.
        rows: number of rows: P K B, those of all critics' batches, for an update; P S, with S environments per member,
            for action selection.
    """
    return bool(widths) and rows * max(widths) ** 2 <= (SMALL_ASLEEP if threads_sleep() else SMALL)


@contextmanager
def computing_threads(num_threads: int | None, widths: Sequence[int], rows: int) -> Iterator[None]:
    """Set torch's number of threads for the block, and restore it afterwards.

    Args:
        num_threads: number of threads; None uses one thread if `one_is_enough`, otherwise torch's current number.
        widths: widths of the hidden layers.
        rows: number of rows, see `one_is_enough`.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads or (1 if one_is_enough(widths, rows) else before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
