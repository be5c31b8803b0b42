"""The number of CPU threads that updates and policies are computed with."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

__all__ = ["computing_threads", "one_is_enough", "threads_sleep"]

SMALL, SMALL_ASLEEP = 8e6, 64e6
"""Multiplications of an update's largest product up to which a second thread does not help, and does not help where it
has to be woken up for each operation. The quickstart's have four million."""


def threads_sleep() -> bool:
    """Whether OpenMP's threads sleep between two operations, and have to be woken up for each."""
    return os.environ.get("OMP_WAIT_POLICY", "").strip().lower() == "passive" and "GOMP_SPINCOUNT" not in os.environ


def one_is_enough(widths: Sequence[int], rows: int) -> bool:
    """Whether a second thread does not make an update, or acting, faster.

    Threads wait for each other after every operation, so that an update of several threads also waits for the other
    processes on their cores.

    Args:
        widths: of the hidden layers.
        rows: of all critics' batches, P K B; in acting P S.
    """
    return bool(widths) and rows * max(widths) ** 2 <= (SMALL_ASLEEP if threads_sleep() else SMALL)


@contextmanager
def computing_threads(num_threads: int | None, widths: Sequence[int], rows: int) -> Iterator[None]:
    """Let torch compute with a number of threads; afterwards with as many as before.

    Args:
        num_threads: None takes one thread where that is enough, otherwise torch's own choice.
        widths: of the hidden layers.
        rows: of all critics' batches, P K B.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads or (1 if one_is_enough(widths, rows) else before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
