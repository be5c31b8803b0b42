"""Name the parts of an update, for profilers. Without a profiler, the names have no effect.

An update is recorded once and then replayed without running the code of the modules. Each scope is therefore entered
once per run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

__all__ = ["scope", "watching"]

Watch = Callable[[str], AbstractContextManager[None]]
"""Function from the name of a scope to a context manager that encloses the scope's block."""

_watches: list[Watch] = []


def scope(name: str) -> AbstractContextManager[None]:
    """Return a context manager that attributes its block to the part `name`, except for nested scopes."""
    return _watches[-1](name) if _watches else nullcontext()


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Call `watch` for every scope inside the block."""
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.pop()
