"""Temporary files that other libraries leave behind."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

__all__ = ["temporary_files_removed"]


@contextlib.contextmanager
def temporary_files_removed() -> Iterator[None]:
    """Close and delete every file that is made with `tempfile.mkstemp` inside the block.

    OGBench's mazes leave one file and one open descriptor for every environment, and a population's evaluation makes
    hundreds of environments. MuJoCo has read the file when the environment's constructor returns.
    """
    original, made = tempfile.mkstemp, []

    def mkstemp(*args: Any, **kwargs: Any) -> tuple[int, Any]:
        made.append(original(*args, **kwargs))
        return made[-1]

    tempfile.mkstemp = mkstemp
    try:
        yield
    finally:
        tempfile.mkstemp = original
        for descriptor, path in made:
            with contextlib.suppress(OSError):  # already closed or deleted by its maker
                os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(path)
