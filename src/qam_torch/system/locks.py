"""One process at a time on one path: a lock that ends with its process."""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Iterator
from pathlib import Path

__all__ = ["alone"]

_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""Errors of file systems without locks."""


@contextlib.contextmanager
def alone(path: Path, patience: float = math.inf) -> Iterator[None]:
    """Wait until no other process holds the lock of a path, and hold it; the system releases it if the process dies.

    The lock is not reentrant. On file systems without locks (some network file systems) all processes hold it at once:
    files are renamed into place whole, so that two processes only do the same work twice.

    Args:
        path: file or directory, existing or not; the lock is the file .NAME.lock beside it, in a directory that is made
            if it is missing.
        patience: seconds to wait.

    Raises:
        TimeoutError: another process still holds the lock after `patience`.
        OSError: the lock file cannot be made.
    """
    from filelock import FileLock  # here, because commands that hold no lock import this module too

    file = path.with_name(f".{path.name}.lock")
    # The library's replacement where there are no locks is a file that stays when its process is killed.
    lock = FileLock(file, timeout=-1 if patience == math.inf else patience, poll_interval=0.1, fallback_to_soft=False)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        held.callback(_remove, file)
        yield


def _remove(file: Path) -> None:
    """Remove the lock file before its lock is released; a waiting process notices this and makes a new file."""
    with contextlib.suppress(PermissionError):  # Windows removes no open file, and filelock removes it afterwards
        file.unlink(missing_ok=True)
