"""One process at a time on one path: a lock that ends with its process."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["alone"]

_UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What flock says on file systems that have no locks."""


@contextlib.contextmanager
def alone(path: Path, patience: float = math.inf) -> Iterator[None]:
    """Wait until nobody else holds the lock of `path`, and hold it; the system lets go of it when a process dies.

    path      file or directory, there or not; the lock is .NAME.lock beside it, in a directory that must exist
    patience  seconds to wait, after which TimeoutError is raised

    Not reentrant: who holds it waits for ever. Where there are no locks (Windows, some network file systems) it is held
    by all at once: files are renamed into place whole, and two at once do the work twice. Raises OSError where the lock
    cannot be made.
    """
    lock = path.with_name(f".{path.name}.lock")
    while True:
        with open(lock, "ab") as file:
            _wait(file.fileno(), patience)
            if not _is_at(file.fileno(), lock):  # its holder removed it while this process waited
                continue
            try:
                yield
            finally:
                with contextlib.suppress(PermissionError):  # Windows removes no open file
                    lock.unlink(missing_ok=True)
            return


def _wait(descriptor: int, patience: float) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if patience == math.inf else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError from None
            time.sleep(0.1)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            return
        else:
            return


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
