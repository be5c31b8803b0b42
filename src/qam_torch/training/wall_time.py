"""Measure the wall time of a run."""

from __future__ import annotations

import time

__all__ = ["WallTime"]


class WallTime:
    """Wall time of a run in seconds, including the time before it was resumed."""

    def __init__(self) -> None:
        self._before, self._started = 0.0, time.perf_counter()

    def start(self, before: float | None = None) -> None:
        """Start counting now.

        Args:
            before: wall time in seconds until the run's checkpoint. None keeps the present value, at first 0.
        """
        self._started = time.perf_counter()
        if before is not None:
            self._before = before

    @property
    def seconds(self) -> float:
        """Wall time of the run so far, in seconds."""
        return self._before + time.perf_counter() - self._started
