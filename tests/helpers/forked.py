"""Commands in processes that are forked from a server, which has imported all that commands import.

A command starts in a tenth of a second instead of the three that torch and Lightning take to import. Apart from that
each is a process of its own, with its session, working directory, environment and standard streams, and ends as the
console script does. What a start imports, and how long it takes, is measured in real processes (frozen_measured.py).
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from multiprocessing import forkserver
from pathlib import Path

from tests.helpers.processes import die_with_parent
from tests.helpers.runs import ROOT, environment

__all__ = ["Forked", "run_forked"]

LONGEST_SECONDS = 240

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "qam_torch.run", "qam_torch.sweep.sweep", "qam_torch.inference.evaluate", "qam_torch.parity.replay",
        "qam_torch.bench.measure", "qam_torch.report.write", "ogbench", "torch.utils.tensorboard",
    ]
)  # fmt: skip


class Forked:
    """A command that has begun, with the part of the interface of `subprocess.Popen` that tests use.

    Args:
        words: The command line: the name of a console script and its arguments, or -m, a module and its arguments.
        out: File for standard output.
        err: File for standard error.
        cwd: Working directory.
        variables: All environment variables.
    """

    def __init__(self, words: Sequence[str], out: Path, err: Path, cwd: Path, variables: Mapping[str, str]) -> None:
        self.out, self.err = out, err
        self._process = _SERVER.Process(target=_become, args=(words, out, err, cwd, dict(variables)))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, negative after a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def wait(self, timeout: float = LONGEST_SECONDS) -> int:
        """Wait for its end; raises subprocess.TimeoutExpired after so many seconds."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to the command, and not to its children."""
        os.kill(self.pid, number)


def run_forked(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command, to its end, in the root of the project; the files of its output are left in a folder."""
    out, err = folder / "command.out", folder / "command.err"
    status = Forked(words, out, err, ROOT, environment()).wait()
    return subprocess.CompletedProcess(words, status, out.read_text(), err.read_text())


def _become(words: Sequence[str], out: Path, err: Path, cwd: Path, variables: dict[str, str]) -> None:
    """Be the command; called in the forked process."""
    os.setsid()
    # With the process that asked for it, the server ends, and with the server the command.
    os.close(forkserver._forkserver._forkserver_alive_fd)  # type: ignore[attr-defined]
    die_with_parent()
    for number, path in enumerate((Path(os.devnull), out, err)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY)
        os.dup2(opened, number)
        os.close(opened)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=True)  # type: ignore[union-attr]
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores it
    try:
        if words[0] == "-m":
            sys.argv[:] = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv[:] = [str(Path(sys.executable).parent / words[0]), *words[1:]]
            (command,) = entry_points(group="console_scripts", name=words[0])
            sys.exit(command.load()())
    finally:
        threading._shutdown()  # as an interpreter does at its end, and a forked process does not, or too late
        atexit._run_exitfuncs()
