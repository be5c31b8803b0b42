"""Number of CPU threads for updates and policies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

__all__ = ["computing_threads", "one_is_enough", "threads_sleep"]

SMALL, SMALL_ASLEEP = 8e6, 64e6
"""Multiplications of an update's largest product up to which a second thread does not help. The second value is for
threads that must be woken up for each operation. The quickstart has four million."""


def threads_sleep() -> bool:
    """Whether OpenMP's threads sleep between operations, and must be woken up for each one."""
    return os.environ.get("OMP_WAIT_POLICY", "").strip().lower() == "passive" and "GOMP_SPINCOUNT" not in os.environ


def one_is_enough(widths: Sequence[int], rows: int) -> bool:
    """Whether one thread is as fast as two, for an update or for action selection.

    Threads wait for each other after every operation. An update with several threads therefore also waits for other
    processes on these cores.

    Args:
        widths: widths of the hidden layers.
        rows: rows of all critics' batches, P K B; for action selection P S.
    """
    return bool(widths) and rows * max(widths) ** 2 <= (SMALL_ASLEEP if threads_sleep() else SMALL)


@contextmanager
def computing_threads(num_threads: int | None, widths: Sequence[int], rows: int) -> Iterator[None]:
    """Set torch's number of threads inside the block, and restore it afterwards.

    Args:
        num_threads: None uses one thread where that is enough, otherwise torch's default.
        widths: widths of the hidden layers.
        rows: rows of all critics' batches, P K B.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads or (1 if one_is_enough(widths, rows) else before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
