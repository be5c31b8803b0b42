"""What this machine has, as far as this process may use it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["cpu_cores", "is_alive", "visible_gpus"]


def cpu_cores() -> int:
    """CPU cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip())
    import torch

    return tuple(map(str, range(torch.cuda.device_count())))


def is_alive(pid: int) -> bool:
    """Whether a process of this user's on this machine is there and has not ended."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # none, or somebody else's by now
        return False
    with contextlib.suppress(OSError, IndexError):  # where nobody asks how it ended, it stays in the table of processes
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    return True
