"""CPU cores, GPUs, memory and processes of this machine."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = [
    "cpu_cores",
    "garbage_since",
    "is_alive",
    "resident_bytes",
    "return_freed_memory",
    "return_garbage",
    "visible_gpus",
]


def cpu_cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> tuple[str, ...]:
    """Return the GPUs that this process may use, by their names in CUDA_VISIBLE_DEVICES or by their indices."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip())
    import torch

    return tuple(map(str, range(torch.cuda.device_count())))


def resident_bytes(pid: int | str = "self") -> int:
    """Return the memory of a process in bytes, without swapped memory; 0 if the system does not report it.

    Args:
        pid: process id; "self" for this process.
    """
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
    except (OSError, LookupError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def return_freed_memory() -> None:
    """Return freed memory to the operating system. By default, glibc keeps freed allocations below 32 MB."""
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # the C library is not glibc
            ctypes.CDLL(None).malloc_trim(0)


def return_garbage() -> None:
    """Free objects that refer to each other, and return their memory to the operating system. Takes about 0.1 s."""
    gc.collect()
    return_freed_memory()


@contextlib.contextmanager
def garbage_since() -> Iterator[Callable[[], None]]:
    """Yield `return_garbage`, restricted to objects that are created within the block.

    A full collection visits every object of the process. This takes half a second if torch and lightning are imported.
    If the application has frozen objects itself, the collection is not restricted: unfreezing at the end of the block
    would also unfreeze the objects of the application.
    """
    if gc.get_freeze_count():
        yield return_garbage
        return
    gc.freeze()
    try:
        yield return_garbage
    finally:
        gc.unfreeze()


def is_alive(pid: int) -> bool:
    """Whether a process exists on this machine, belongs to this user and has not ended."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # no such process, or one of another user
        return False
    with contextlib.suppress(OSError, IndexError):  # a zombie has ended, but its parent has not read its status
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return True
