"""Processes of a command that was started in its own session."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

__all__ = ["die_with_parent", "end_session", "processes_of_session", "session_ends"]


def processes_of_session(session: int) -> list[int]:
    """Ids of the processes that belong to a session, whatever process groups they lead; zombies are left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, _, _, its_session = path.read_text().rpartition(")")[2].split()[:4]
            if int(its_session) == session and state != "Z":
                found.append(int(path.parent.name))
    return found


def session_ends(session: int, patience: float = 5.0) -> bool:
    """Whether all processes of a session end within `patience` seconds."""
    until = time.monotonic() + patience
    while processes_of_session(session):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def end_session(session: int) -> None:
    """Kill all processes of a session."""
    for pid in processes_of_session(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def die_with_parent() -> None:
    """In a child: be killed as soon as the parent ends, where the system can do that."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
