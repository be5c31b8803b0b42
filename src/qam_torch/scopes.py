"""Names for the parts of an update, for profilers. Without a profiler they have no effect.

An update is recorded once and then replayed without Python, so that a scope is passed once a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

__all__ = ["scope", "watching"]

Watch = Callable[[str], AbstractContextManager[None]]
"""The name of a scope -> what surrounds it."""

_watches: list[Watch] = []


def scope(name: str) -> AbstractContextManager[None]:
    """What happens in the block belongs to the part of this name; a scope inside another one takes its own away."""
    return _watches[-1](name) if _watches else nullcontext()


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Call `watch` for every scope inside the block."""
    _watches.append(watch)
    try:
        yield
    finally:
        _watches.pop()
