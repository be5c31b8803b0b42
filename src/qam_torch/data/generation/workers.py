"""Episodes made in several processes, each of which leaves them on disk as pieces.

Imported in worker processes: no torch, which would take a second and 200 MB of each of them.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import selectors
import subprocess
import sys
from collections.abc import Generator, Iterable
from typing import Any

from qam_torch.data.generation.episode_files import Pieces, PiecesUnwritable

__all__ = ["WorkerDied", "make_pieces", "serve"]

# sys.path comes first, so that the worker finds every module the parent can import.
_MAIN = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from qam_torch.data.generation.workers import serve
serve()
"""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class WorkerDied(RuntimeError):
    """A worker process ended while it was needed; the message says how."""


def make_pieces(
    pieces: Pieces, episodes: Iterable[tuple[int, int]], workers: int
) -> Generator[tuple[int, int], None, None]:
    """Have every episode made and kept, and yield it when that is done, in whatever order.

    pieces    where they are kept, and the recipe; picklable, its recipe not defined in the main script
    episodes  (index, rows) of each
    workers   int >= 1; 1 works in this process

    Whoever stops iterating ends the processes. If this process is killed, they end with the episode they are making.

    Raises WorkerDied, and PiecesUnwritable when the disk is full or read-only.
    """
    if workers == 1:
        for index, rows in episodes:
            pieces.episode(index, rows)
            yield index, rows
        return
    waiting = iter(episodes)
    with contextlib.ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(workers):
            worker = stack.enter_context(_Worker(pieces))
            selector.register(worker.answers, selectors.EVENT_READ, worker)
        idle = [key.data for key in selector.get_map().values()]
        busy: dict[_Worker, tuple[int, int]] = {}
        while True:
            while idle and (episode := next(waiting, None)) is not None:
                worker = idle.pop()
                worker.ask(*episode)
                busy[worker] = episode
            if not busy:
                return
            for key, _ in selector.select():
                key.data.check()
                idle.append(key.data)
                yield busy.pop(key.data)


class _Worker:
    """A fresh interpreter that makes one episode after the other, spoken to through its standard input and output.

    A plain child process instead of `multiprocessing`: neither a fork of a process with threads, nor a second import of
    the main module, which would bring torch. It leads a process group, so that Ctrl-C is the parent's business alone.
    """

    def __init__(self, pieces: Pieces) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _MAIN],  # without a display, importing GLFW warns
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **_ONE_THREAD},
            process_group=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._questions, self.answers = self._process.stdin, self._process.stdout
        self._write(sys.path)
        self._write(pieces)

    def ask(self, index: int, rows: int) -> None:
        """Have one episode made."""
        self._write((index, rows))

    def check(self) -> None:
        """Read the answer: nothing, or why the disk did not take the episode."""
        try:
            trouble: str | None = pickle.load(self.answers)
        except (EOFError, pickle.UnpicklingError) as error:
            raise self._died() from error
        if trouble is not None:
            raise PiecesUnwritable(trouble)

    def _write(self, message: Any) -> None:
        try:
            pickle.dump(message, self._questions)
            self._questions.flush()
        except BrokenPipeError as error:
            raise self._died() from error

    def _died(self) -> WorkerDied:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        return WorkerDied(f"process {self._process.pid} ended with status {self._process.returncode}")

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()  # nothing is lost: pieces appear in one step
        self._process.wait()
        self.answers.close()
        with contextlib.suppress(BrokenPipeError):
            self._questions.close()


def serve() -> None:
    """The main loop of a worker process; it ends when its input is closed, hence also when its parent is killed."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    pieces: Pieces = pickle.load(sys.stdin.buffer)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            index, rows = pickle.load(sys.stdin.buffer)
            trouble = None
            try:
                pieces.episode(index, rows)
            except PiecesUnwritable as error:
                trouble = str(error)
            pickle.dump(trouble, answers)
            answers.flush()
