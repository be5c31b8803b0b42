"""Names for the parts of an update, for profilers. Without a profiler they have no effect.

An update is recorded once and then replayed without module code, so each scope is entered once per run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

__all__ = ["scope", "watching"]

Watch = Callable[[str], AbstractContextManager[None]]
"""The name of a scope -> context manager around its block."""

_watches: list[Watch] = []


def scope(name: str) -> AbstractContextManager[None]:
    """Attribute the block to the part `name`; a nested scope is not counted in the outer one."""
    return _watches[-1](name) if _watches else nullcontext()


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Call `watch` for every scope inside the block."""
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.pop()
