"""A sweep of `qam-train -m`: its directory, and the table of outcomes that is made after the launcher ends."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from qam_torch.config.literals import quoted
from qam_torch.config.overrides import common_words
from qam_torch.sweep.job import SweepJob
from qam_torch.sweep.record import Record
from qam_torch.sweep.run_process import GRACE_SECONDS
from qam_torch.sweep.table import exit_status, print_table, read_records, write_table
from qam_torch.system.files import prepare_directory
from qam_torch.system.machine import visible_gpus

__all__ = ["Sweep"]


class Sweep:
    """One sweep.

    Args:
        root: directory of all runs. The sweep's directory is root/sweeps/DATE_TIME.
        given: overrides on the command line.
        expected: overrides of each run; None if a sweeper chooses them during the sweep.
        detached: whether runs continue when this process ends, as with Slurm.

    Attributes:
        status: exit status; set when the block of `reporting` ends.
    """

    def __init__(
        self, root: Path, given: Sequence[str], expected: Sequence[Sequence[str]] | None, detached: bool = False
    ) -> None:
        self.directory = _make_directory(root / "sweeps")
        self.expected, self.detached = expected, detached
        runs = None if expected is None else len(expected)
        command = None if detached else (socket.gethostname(), os.getpid())
        self.job = SweepJob(self.directory, Path.cwd(), visible_gpus(), common_words(given), runs, command)
        self.status = 0

    def hydra_overrides(self, given: Sequence[str]) -> list[str]:
        """Overrides to add for Hydra: its files go to the sweep's directory, unless hydra.sweep.dir is given."""
        key = "hydra.sweep.dir"
        return [] if any(word.startswith(f"{key}=") for word in given) else [f"{key}={quoted(str(self.directory))}"]

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Context in which the launcher runs. The table of outcomes is always written and printed when it ends.

        Afterwards KeyboardInterrupt is raised again. Other errors are printed, and set `status` to 1.
        """
        launcher_failed = False
        try:
            with _launcher_environment():
                yield
        except KeyboardInterrupt:
            self._wait_for_runs()
            raise
        except Exception as error:  # raised by a launcher or sweeper; the outcomes are reported anyway
            launcher_failed = True
            (self.directory / "error.log").write_text(traceback.format_exc(), encoding="utf-8")
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            print(f"qam-train: the launcher stopped ({reason}), see {self.directory}/error.log", file=sys.stderr)
            self._wait_for_runs()
        finally:
            records = self._records()
            write_table(records, self.directory)
            print_table(records, self.directory)
            self.status = 1 if launcher_failed else exit_status(records)

    def _wait_for_runs(self) -> None:
        """Wait for running processes to end after the launcher ended, and mark those still running as interrupted."""
        if self.detached:
            return
        deadline = time.monotonic() + GRACE_SECONDS
        while any(record.is_running() for record in self._records()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for record in self._records():
            if record.outcome.ending == "running":
                record = record.with_outcome(replace(record.outcome, ending="interrupted"))
                record.write(Record.path(self.directory, record.number))

    def _records(self) -> list[Record]:
        return read_records(self.directory, self.job.common, self.expected)


def _make_directory(folder: Path) -> Path:
    """Make a new directory, named after the current time."""
    prepare_directory(folder, "directory of sweeps", "runs_root=...")
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    for number in range(1, 1000):
        directory = folder / (name if number == 1 else f"{name}-{number}")
        with contextlib.suppress(FileExistsError):
            directory.mkdir()
            Record.path(directory, 0).parent.mkdir()
            return directory
    raise OSError(f"no free name for a sweep in '{folder}'")


@contextlib.contextmanager
def _launcher_environment() -> Iterator[None]:
    """Set environment variables for the block, and restore them afterwards.

    With HYDRA_FULL_ERROR, Hydra raises errors; otherwise it prints a traceback and ends the process. With
    PYTHONSAFEPATH, a file such as types.py in the working directory does not shadow the standard library in processes
    that launchers start.
    """
    before = dict(os.environ)
    os.environ["HYDRA_FULL_ERROR"] = "1"
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    try:
        yield
    finally:
        for name in ("HYDRA_FULL_ERROR", "PYTHONSAFEPATH"):
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
