"""The number of CPU threads that a run computes with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

__all__ = ["computing_threads", "one_is_faster", "threads_sleep"]

FEW_ROWS, NARROW = 512, 256
"""Rows of all members' batches, and widest hidden layer, up to which one thread beats two that have to be woken up."""


def threads_sleep() -> bool:
    """Whether OpenMP's threads sleep between two operations, and have to be woken up for each."""
    return os.environ.get("OMP_WAIT_POLICY", "").strip().lower() == "passive" and "GOMP_SPINCOUNT" not in os.environ


def one_is_faster(widths: Sequence[int], rows: int) -> bool:
    """Whether an update's operations take less time than waking up a second thread for each.

    Args:
        widths: of the hidden layers.
        rows: of all members' batches, P B.
    """
    return threads_sleep() and rows <= FEW_ROWS and max(widths, default=NARROW + 1) <= NARROW


@contextmanager
def computing_threads(num_threads: int | None, widths: Sequence[int], rows: int) -> Iterator[None]:
    """Let torch compute with a number of threads; afterwards with as many as before.

    Args:
        num_threads: None keeps torch's own choice, except where threads sleep and the update is small: there one
            thread is several times as fast as two.
        widths: of the hidden layers.
        rows: of all members' batches, P B.
    """
    before = torch.get_num_threads()
    alone = num_threads is None and before > 1 and one_is_faster(widths, rows)
    if alone:
        print("computing with one CPU thread: OMP_WAIT_POLICY=passive makes more of them slower on updates this small")
    torch.set_num_threads(1 if alone else num_threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
