"""Delete temporary files that other libraries leave behind."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

__all__ = ["temporary_files_removed"]


@contextlib.contextmanager
def temporary_files_removed() -> Iterator[None]:
    """Close and delete every file that `tempfile.mkstemp` makes inside the block.

    OGBench's mazes leave one file and one open descriptor per environment, and the evaluation of a population makes
    hundreds of environments. MuJoCo has read the file by the time the environment's constructor returns.
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
            with contextlib.suppress(OSError):  # the code that made the file has closed or deleted it
                os.close(descriptor)
            with contextlib.suppress(OSError):
                os.unlink(path)
