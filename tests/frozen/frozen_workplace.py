"""Where frozen behavior is observed: console commands in a temporary directory, tiny data, and a few finished runs.

Nothing here knows a module of the library: only its console scripts and what they write.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.frozen.frozen_made_runs import copied_tree
from tests.helpers.forked import Forked
from tests.helpers.processes import die_with_parent, end_session, session_ends

DATA_SET = "pointmaze-medium-navigate-v0"
TRANSITIONS = 2000
TINY = (
    "experiment=default",
    "algo.actor_hidden_dims=[16,16]",
    "algo.value_hidden_dims=[16,16]",
    "algo.num_qs=2",
    "algo.flow_steps=3",
    "algo.horizon_length=20",
    "batch_size=8",
    "offline_steps=40",
    "updates_per_step=7",
    "eval_every=20",
    "log_every=10",
    "checkpoint_every=10",
    "eval_episodes=2",
    "eval_workers=0",
    f"data.generate_transitions={TRANSITIONS}",
    "compile=false",
    "trainer=cpu",
)
"""Overrides of a run of a few seconds."""

BRIEF = ("offline_steps=10", "eval_every=10", "checkpoint_every=5", "eval_episodes=1", "logger=csv")
"""After TINY: a run of even fewer updates."""

ONLINE = ("algo=qam_e", "offline_steps=20", "online_steps=40", "start_training=8", "utd_ratio=2")
"""After TINY: a run of both phases."""

GRID = ("offline_steps=20", "seeds=[1,2]", "population.inv_temp=[1,3]")
"""After TINY: a population of two seeds times two numbers."""

SMALL_BENCH = (
    "--size", "medium", "--observation-dim", "3", "--action-dim", "2", "--horizon-length", "2", "--hidden", "8", "8",
    "--num-qs", "2", "--batch-size", "4", "--flow-steps", "2", "--threads", "1", "--updates", "3",
)  # fmt: skip
"""Options of a measurement of `qam-bench` of the smallest networks."""

LONGEST_SECONDS = 240
POLL_SECONDS = 0.005
NUMBER = re.compile(r"(?<![\w./-])[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?(?![\w])")


def script(name: str) -> str:
    """Path of a console script of the environment that runs this; links are not followed."""
    return str(Path(sys.executable).parent / name)


def environment(**more: str) -> dict[str, str]:
    """Variables for a command whose output is recorded."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QAM_", "HYDRA_", "PYTEST_"))}
    fixed = {"OMP_NUM_THREADS": "1", "COLUMNS": "100", "PYTHONUNBUFFERED": "1", "no_proxy": "127.0.0.1"}
    return {**kept, **fixed, **more}


def default_signals() -> None:
    """In a child before it becomes the command: Ctrl-C as in a terminal, and death with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with_parent()


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        status: Exit status, negative after a signal.
        out: Standard output.
        err: Standard error.
        left: Whether a process of the command was still there afterwards.
    """

    status: int
    out: str
    err: str
    left: bool = False

    def recorded(self, replaced: Sequence[tuple[str, str]], exact: bool) -> dict[str, Any]:
        """What is frozen of it, in JSON's types.

        Args:
            replaced: Text that differs from time to time, such as a path, and what stands for it.
            exact: Whether numbers are kept.

        Returns:
            Exit status, last lines, and two things that should not be.
        """
        return {
            "status": self.status,
            "stdout": normalized(last_line(self.out), replaced, exact),
            "stderr": normalized(last_line(self.err), replaced, exact),
            "traceback": "Traceback (most recent call last)" in self.err,
            "processes_left": self.left,
        }


def normalized(line: str, replaced: Sequence[tuple[str, str]] = (), exact: bool = False) -> str:
    """A line without what differs from time to time: paths, hashes, dates, widths of columns; and perhaps numbers."""
    for text, name in replaced:
        line = line.replace(text, name)
    line = re.sub(r"\b[0-9a-f]{64}\b", "HASH", line)
    line = re.sub(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", "DATE", line)
    return re.sub(r"\s+", " ", line if exact else NUMBER.sub("#", line)).strip()


class Workplace:
    """A temporary directory in which commands run, and what several of them need, made once.

    Args:
        directory: An empty directory.

    Attributes:
        made: How the commands have ended that made what several tests need.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.made: dict[str, Ended] = {}

    @property
    def replaced(self) -> list[tuple[str, str]]:
        """Paths of this place, and what stands for them in what is frozen."""
        return [(str(self.directory), "WORK"), (str(Path(sys.executable).parent), "BIN")]

    def folder(self, name: str) -> Path:
        """A directory of this name, made if it is not there."""
        path = self.directory / re.sub(r"[^\w]+", "-", name)
        path.mkdir(exist_ok=True)
        return path

    def started(self, *words: str) -> Forked:
        """A command that has begun."""
        folder = self.directory / "outputs"
        folder.mkdir(exist_ok=True)
        number = len(list(folder.glob("*.out")))
        out, err = folder / f"{number:03}.out", folder / f"{number:03}.err"
        out.touch()
        return Forked(words, out, err, self.directory, environment())

    def run(self, *words: str) -> Ended:
        """A command, to its end."""
        return self._ended(self.started(*words))

    def interrupted(self, ready: Callable[[int, Path], bool], *words: str) -> Ended:
        """A command that is interrupted as by Ctrl-C in a terminal, which reaches all its processes.

        Args:
            ready: (process id, file of standard output) -> whether it is at work, so that the signal can be sent.
            words: The command line.

        Returns:
            How it ended after the signal.

        Raises:
            AssertionError: It ended, or the time was up, before it was ready.
        """
        process = self.started(*words)
        try:
            until = time.monotonic() + LONGEST_SECONDS
            while not ready(process.pid, process.out):
                assert process.poll() is None, (
                    f"{words} ended before it was interrupted: {process.err.read_text()[-2000:]}"
                )
                assert time.monotonic() < until, f"{words} did not get to work"
                time.sleep(POLL_SECONDS)
            os.killpg(process.pid, signal.SIGINT)
            return self._ended(process)
        finally:
            end(process)

    def once(self, name: str, make: Callable[[], Ended]) -> Ended:
        """How the command of this name has ended, which `make` runs the first time only."""
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    # What several tests need

    def generated(self) -> Ended:
        """The dataset of all tiny runs, made by the command."""
        words = ("qam-data", "generate", DATA_SET, "--transitions", str(TRANSITIONS), "--workers", "1")
        return self.once("data", lambda: self.run(*words, "--directory", str(self.data)))

    @property
    def data_file(self) -> Path:
        """The training file of the dataset."""
        self.generated()
        return self.data / f"{DATA_SET}.generated-{TRANSITIONS}-seed0.npz"

    def tiny(self, run_dir: Path | None, *more: str) -> list[str]:
        """The command line of a tiny run."""
        self.generated()
        where = [] if run_dir is None else [f"run_dir={run_dir}"]
        return ["qam-train", *TINY, f"data.directory={self.data}", *where, *more]

    def finished(self, name: str, *more: str) -> Path:
        """The directory of a finished tiny run."""
        run_dir = self.folder(name) / "run"
        ended = self.once(name, lambda: self.run(*self.tiny(run_dir, *more)))
        assert ended.status == 0, ended.err
        return run_dir

    def offline(self) -> Path:
        """A finished run on the dataset only."""
        return self.finished("offline", "compare_behavior=true")

    def online(self) -> Path:
        """A finished run of both phases."""
        return self.finished("online", *ONLINE)

    def population(self) -> Path:
        """A finished run of a population that is a grid."""
        return self.finished("population", *GRID)

    def swept(self) -> Path:
        """The directory of all runs of a finished sweep of two."""
        root = self.folder("sweep") / "runs"
        command, *words = self.tiny(None, *BRIEF, f"runs_root={root}", "algo.lr=1e-3,1e-4")
        ended = self.once("sweep", lambda: self.run(command, "-m", *words))
        assert ended.status == 0, ended.err
        return root

    def evaluated(self) -> Path:
        """What `qam-eval --json` has written of a finished run."""
        path, ckpt = self.folder("evaluated") / "outcome.json", self.offline() / "checkpoints" / "last.ckpt"
        words = ("qam-eval", str(ckpt), "--episodes", "2", "--workers", "0", "--json", str(path))
        ended = self.once("evaluated", lambda: self.run(*words))
        assert ended.status == 0, ended.err
        return path

    def measured(self) -> Path:
        """What `qam-bench --json` has written."""
        path = self.folder("measured") / "bench.json"
        ended = self.once(
            "measured", lambda: self.run("qam-bench", *SMALL_BENCH, "--repeats", "2", "--json", str(path))
        )
        assert ended.status == 0, ended.err
        return path

    def reported(self) -> Path:
        """The report of the made-up runs."""
        here = self.folder("report")

        def make() -> Ended:
            copied_tree(here / "tree")
            return self.run("qam-report", str(here / "tree"), "--out", str(here / "out"))

        ended = self.once("report", make)
        assert ended.status == 0, ended.err
        return here / "out"

    @staticmethod
    def _ended(process: Forked) -> Ended:
        try:
            status = process.wait()
            left = not session_ends(process.pid)
        finally:
            end(process)
        return Ended(status, process.out.read_text(errors="replace"), process.err.read_text(errors="replace"), left)


def end(process: Forked | subprocess.Popen[str]) -> None:
    """End a command and all processes of its session, if they are still there."""
    end_session(process.pid)
    process.wait()
