"""Format sizes and durations, and show progress bars, for the commands."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

__all__ = ["Bars", "readable_size", "readable_time"]


class Bars:
    """Shows one progress bar after another on stderr, if stderr is a terminal.

    For example:

        with Bars("B", unit_scale=True) as bars:
            bars("x.npz", 1000, 2000)  # description, amount done, total amount or None

    Args:
        unit: unit of the amounts, e.g. "B".
        options: further arguments of `tqdm`.
    """

    def __init__(self, unit: str, **options: Any) -> None:
        self._options: dict[str, Any] = {"unit": unit, "disable": None, **options}
        self._bar: tqdm | None = None
        self._what = ""

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if self._bar is None or what != self._what:
            self.close()
            self._bar, self._what = tqdm(total=total, initial=done, desc=what, **self._options), what
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def readable_size(size: int) -> str:
    """Format a number of bytes in at most eight characters, e.g. 734 B or 12.3 MB."""
    number, units = float(size), ["B", "kB", "MB", "GB", "TB"]
    while number >= 999.95 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.0f} B" if units[0] == "B" else f"{number:.1f} {units[0]}"


def readable_time(seconds: float) -> str:
    """Format a duration in seconds with two or more digits, e.g. 4.5 ms, 46 s, 12 min, 3.4 hours or 12 days."""
    units = {"days": 86400.0, "hours": 3600.0, "min": 60.0, "s": 1.0, "ms": 0.001}
    unit, size = next((one for one in units.items() if seconds >= (1.95 if one[1] > 1 else 1) * one[1]), ("ms", 0.001))
    number = seconds / size
    return f"{number:.0f} {unit}" if number >= 9.95 else f"{number:.1f} {unit}"
