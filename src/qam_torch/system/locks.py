"""A lock that lets one process at a time use a path, and is released if the process dies."""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Iterator
from pathlib import Path

__all__ = ["exclusive"]

_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""Errors of file systems without locks."""


@contextlib.contextmanager
def exclusive(path: Path, timeout: float = math.inf) -> Iterator[None]:
    """Hold the lock of a path, after waiting until no other process holds it.

    The operating system releases the lock if the process dies. The lock is not reentrant. Some network file systems
    have no locks. There, all processes proceed at once. They then do the same work twice, but no file is damaged,
    because files are written under a temporary name and renamed.

    Args:
        path: file or directory, which need not exist. The lock is the file .NAME.lock beside it; a missing parent
            directory is created.
        timeout: seconds to wait.

    Raises:
        TimeoutError: another process still holds the lock after `timeout`.
        OSError: the lock file cannot be created.
    """
    from filelock import FileLock  # late, because commands that never lock import this module too

    file = path.with_name(f".{path.name}.lock")
    # filelock's fallback on file systems without locks is a plain file, which remains if its process is killed.
    lock = FileLock(file, timeout=-1 if timeout == math.inf else timeout, poll_interval=0.1, fallback_to_soft=False)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        held.callback(_remove, file)
        yield


def _remove(file: Path) -> None:
    """Remove the lock file before the lock is released. A waiting process notices this and creates a new file."""
    with contextlib.suppress(PermissionError):  # on Windows an open file cannot be removed; filelock removes it later
        file.unlink(missing_ok=True)
