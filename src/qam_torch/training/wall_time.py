"""How long a run has taken."""

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
            before: seconds of the run until its checkpoint; None leaves them as they are.
        """
        self._started = time.perf_counter()
        if before is not None:
            self._before = before

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self._before + time.perf_counter() - self._started
