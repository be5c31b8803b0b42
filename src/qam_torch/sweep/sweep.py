"""`qam-train -m` around the launcher: a directory for the sweep before, a table of what ended how after."""

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

from qam_torch.config.groups import quoted
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

    elsewhere whether runs go on without this process, as Slurm's do

    Args:
        root: below which all runs are; the sweep's own directory is root/sweeps/DATE_TIME.
        given: the overrides of the command.
        expected: those of each run; None = the sweeper decides as it goes.
    """

    def __init__(
        self, root: Path, given: Sequence[str], expected: Sequence[Sequence[str]] | None, elsewhere: bool = False
    ) -> None:
        self.directory = _make_directory(root / "sweeps")
        self.expected, self.elsewhere = expected, elsewhere
        runs = None if expected is None else len(expected)
        command = None if elsewhere else (socket.gethostname(), os.getpid())
        self.job = SweepJob(self.directory, Path.cwd(), visible_gpus(), common_words(given), runs, command)
        self.status = 0

    def hydra_overrides(self, given: Sequence[str]) -> list[str]:
        """What is to be added to the words for Hydra, unless it is given: its own files go to the sweep's directory."""
        key = "hydra.sweep.dir"
        return [] if any(word.startswith(f"{key}=") for word in given) else [f"{key}={quoted(str(self.directory))}"]

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Launch inside; whatever happens there, the table of what ended how follows, and `status` says if all is well.

        An interrupt goes on after that, any other end does not.
        """
        stopped = False
        try:
            with _errors_raised():
                yield
        except KeyboardInterrupt:
            self._wait_for_runs()
            raise
        except Exception as error:  # of a launcher or sweeper: what its runs came to is to be told all the same
            stopped = True
            (self.directory / "error.log").write_text(traceback.format_exc())
            told = " ".join(str(error).split())[:300] or type(error).__name__
            print(f"qam-train: the launcher stopped ({told}), see {self.directory}/error.log", file=sys.stderr)
            self._wait_for_runs()
        finally:
            records = self._records()
            write_table(records, self.directory)
            print_table(records, self.directory)
            self.status = 1 if stopped else exit_status(records)

    def _wait_for_runs(self) -> None:
        """Wait for the runs whose launcher has left to end; those that were killed cannot say so."""
        if self.elsewhere:
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
    """A new directory with the present time for its name."""
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
def _errors_raised() -> Iterator[None]:
    """Hydra raises errors inside, instead of printing them with their traceback and ending the process."""
    name = "HYDRA_FULL_ERROR"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
