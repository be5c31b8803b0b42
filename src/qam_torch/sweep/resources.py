"""Share a machine's CPU cores and GPUs among the runs that it executes at the same time."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qam_torch.system.machine import cpu_cores

__all__ = ["Share", "slot", "environment_variables"]

POLL_SECONDS = 0.2


class Share(NamedTuple):
    """The part of a machine that one run may use.

    Attributes:
        at_once: number of simultaneous runs that share the machine's GPUs; 1 if the launcher or its scheduler assigns
            GPUs.
        threads: number of CPU threads; None for all.
    """

    at_once: int = 1
    threads: int | None = None

    @classmethod
    def of(cls, launcher: Mapping[str, Any], runs: int | None) -> Share:
        """Read the share from a launcher's configuration: joblib's n_jobs, Slurm's cpus_per_task or Ray's num_cpus.

        Args:
            launcher: the configuration `hydra.launcher`.
            runs: number of runs of the sweep; None if unknown.
        """
        if "n_jobs" in launcher:
            cores, at_once = cpu_cores(), int(launcher["n_jobs"])
            at_once = cores + 1 + at_once if at_once < 0 else at_once
            at_once = max(1, min(at_once, runs or at_once))
            return cls(at_once, max(1, cores // at_once))
        reserved = launcher.get("cpus_per_task") or (launcher.get("ray") or {}).get("remote", {}).get("num_cpus")
        return cls(1, None if reserved is None else max(1, int(reserved)))


def environment_variables(share: Share, place: int, gpus: Sequence[str]) -> dict[str, str]:
    """Return the environment variables of a run.

    Args:
        share: share of the run.
        place: place of the run, from 0 to at_once - 1.
        gpus: GPUs of the machine, which are assigned to the places in rotation.
    """
    found = {} if share.threads is None else {"OMP_NUM_THREADS": str(share.threads)}
    if share.at_once > 1 and gpus:
        found["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]
    return found


@contextlib.contextmanager
def slot(directory: Path, count: int, number: int) -> Iterator[int]:
    """Wait for one of `count` places that processes share, and hold it inside the block.

    A single place needs no lock.

    Args:
        directory: directory with one lock file per place. The operating system releases a lock when its process dies.
        count: number of places.
        number: number of the run. It determines the place on file systems without locks.

    Yields:
        Index of the place.
    """
    if count == 1:
        yield 0
        return
    from filelock import FileLock, Timeout  # imported here, because most commands need no locks

    locks = [FileLock(directory / f".place{index}", timeout=0, fallback_to_soft=False) for index in range(count)]
    while True:
        for index, lock in enumerate(locks):
            with contextlib.ExitStack() as held:
                try:
                    held.enter_context(lock)
                except Timeout:
                    continue
                except OSError:  # this file system has no locks
                    index = number % count
                yield index
                return
        time.sleep(POLL_SECONDS)
