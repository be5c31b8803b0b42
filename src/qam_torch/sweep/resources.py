"""How the runs that one machine works on at a time share its CPU cores and GPUs."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from qam_torch.system.machine import cpu_cores

__all__ = ["Share", "slot", "environment_variables"]

POLL_SECONDS = 0.2


class Share(NamedTuple):
    """What a run may take of the machine it runs on.

    Attributes:
        at_once: runs that share the machine's GPUs; 1 where the launcher or its scheduler hands GPUs out itself.
        threads: CPU threads; None = as many as there are.
    """

    at_once: int = 1
    threads: int | None = None

    @classmethod
    def of(cls, launcher: Mapping[str, Any], runs: int | None) -> Share:
        """What a launcher's configuration says, by its own key: joblib's n_jobs, Slurm's cpus_per_task, Ray's num_cpus.

        Args:
            launcher: hydra.launcher.
            runs: of the whole sweep; None = not known.
        """
        if "n_jobs" in launcher:
            cores, at_once = cpu_cores(), int(launcher["n_jobs"])
            at_once = cores + 1 + at_once if at_once < 0 else at_once
            at_once = max(1, min(at_once, runs or at_once))
            return cls(at_once, max(1, cores // at_once))
        reserved = launcher.get("cpus_per_task") or (launcher.get("ray") or {}).get("remote", {}).get("num_cpus")
        return cls(1, None if reserved is None else max(1, int(reserved)))


def environment_variables(share: Share, place: int, gpus: Sequence[str]) -> dict[str, str]:
    """Environment variables of the run that has one of the places 0 to at_once - 1: the GPUs go round."""
    found = {} if share.threads is None else {"OMP_NUM_THREADS": str(share.threads)}
    if share.at_once > 1 and gpus:
        found["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]
    return found


@contextlib.contextmanager
def slot(directory: Path, count: int, number: int) -> Iterator[int]:
    """Have one of `count` places to oneself, among processes -> its index; a single one is not asked for.

    Args:
        directory: where a file for each place is locked; the system lets go of it when a process dies.
        number: of the run, which has to do for a place where there are no locks.
    """
    if count == 1 or sys.platform == "win32":
        yield number % count
        return
    import fcntl

    with contextlib.ExitStack() as opened:
        files = [opened.enter_context(open(directory / f".place{index}", "ab")) for index in range(count)]
        while True:
            for index, file in enumerate(files):
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                except OSError:  # no locks on this file system
                    index = number % count
                yield index
                return
            time.sleep(POLL_SECONDS)
