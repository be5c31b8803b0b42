"""A dataset of many files, larger than memory: one file is drawn from while the next is read in the background.

Which file an update draws from is a function of the update alone, so a continued run needs to remember nothing. At
most two files are held: the background starts on the one after next when the one before is gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from qam_torch.data.ogbench_format import content_mark
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import QamError, require

__all__ = ["Rotation", "Shards"]

NICENESS = 10
"""Scheduling priority of the background thread on Linux: a tenth of training's share of a core where they compete,
which lets training through and still reads a shard in time on a machine that is full of other people's work."""


class Shards:
    """Files that take turns: update u, counted from 0, draws from file (u // swap_every) % n.

    files       one or more, in order
    load        path -> Transitions on the training device; called in the background, for one file at a time. What it
                holds besides while it reads comes on top of the two shards: better read, use and drop array by array
    swap_every  int >= 1   updates between exchanges

    `fingerprint` is a hash of swap_every and of the files' names and `content_mark`s in order.

    Raises QamError for no files, a missing file, or swap_every below 1.
    """

    def __init__(
        self,
        files: Sequence[str | os.PathLike[str]],
        load: Callable[[Path], Transitions],
        swap_every: int = 1000,
    ) -> None:
        require("swap_every", swap_every >= 1, swap_every, "an integer >= 1")
        self.files = [Path(file) for file in files]
        if not self.files:
            raise QamError("there are no data files: give the directory that has them")
        for file in self.files:
            if not file.is_file():
                raise QamError(f"data file {file} does not exist: check the path, or put the file there")
        self.load, self.swap_every = load, swap_every
        about = [(file.name, content_mark(file)) for file in self.files]
        self.fingerprint = hashlib.sha256(repr((swap_every, about)).encode()).hexdigest()

    def front(self, fraction: float) -> Shards:
        """The first files: as many as make up this fraction in (0, 1] of them, and at least one."""
        require("fraction", 0.0 < fraction <= 1.0, fraction, "a number in (0, 1]")
        return Shards(self.files[: max(1, round(fraction * len(self.files)))], self.load, self.swap_every)

    def file(self, update: int) -> Path:
        """The file that this update draws from."""
        return self.files[update // self.swap_every % len(self.files)]

    def next_swap(self, update: int) -> int:
        """The first update after this one that has the next turn."""
        return update - update % self.swap_every + self.swap_every


class Rotation:
    """Hands out the windows of the shards in turn, and reads ahead.

    shards   the files
    prepare  Transitions -> ChunkWindows, with all that is computed once; done in the background too

    It keeps no windows that it has handed out. Whoever replaces the windows in use by the next ones thereby frees
    them, and only then calls `read_ahead`: so there are never more than two. `file` is the one handed out last.
    """

    def __init__(self, shards: Shards, prepare: Callable[[Transitions], ChunkWindows]) -> None:
        self.shards, self.prepare = shards, prepare
        self.file: Path | None = None
        self._sizes: tuple[int, int] | None = None
        self._ahead: _Reader | None = None
        self._stream: torch.cuda.Stream | None = None

    def take(self, update: int) -> ChunkWindows:
        """The windows of the file that this update draws from; waits for them if they are not ready.

        Raises QamError for what is wrong with the file, also where the background met it, for observations or actions
        of other sizes than those of the files before, and for what `prepare` refuses.
        """
        file = self.shards.file(update)
        if self._ahead is not None and self._ahead.file == file:
            self._ahead.join()
            ahead, self._ahead = self._ahead, None
            windows = ahead.result()
        else:
            self.close()
            windows = self._windows(file)
        self.file = file
        return windows

    def read_ahead(self, update: int) -> None:
        """Start to read, in the background, the file that comes after the one of this update."""
        file = self.shards.file(self.shards.next_swap(update))
        if file == self.shards.file(update) or self._ahead is not None:
            return
        if self._stream is not None:
            # The GPU may still have to gather batches from the shard whose memory is now filled again.
            self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        self._ahead = _Reader(file, self._windows_aside)
        self._ahead.start()

    def close(self) -> None:
        """Forget what was read ahead, and wait for the thread if it is still at it."""
        if self._ahead is not None:
            self._ahead.join()
            self._ahead = None

    def _windows(self, file: Path) -> ChunkWindows:
        transitions = self.shards.load(file)
        sizes = (transitions.observation_dim, transitions.action_dim)
        if sizes != (self._sizes or sizes):
            raise QamError(
                f"data file {file} has observations and actions of sizes {sizes} but those before it {self._sizes}: "
                "keep files of one dataset together"
            )
        self._sizes = sizes
        if transitions.device.type == "cuda" and self._stream is None:
            self._stream = torch.cuda.Stream(transitions.device)
        try:
            return self.prepare(transitions)
        except QamError as error:
            raise QamError(f"data file {file}: {error}") from error

    def _windows_aside(self, file: Path) -> ChunkWindows:
        """The same in the background: on a GPU, on a stream of its own, so that training's work does not queue up."""
        if self._stream is None:
            return self._windows(file)
        with torch.cuda.stream(self._stream):
            windows = self._windows(file)
            self._stream.synchronize()
        return windows


class _Reader(threading.Thread):
    """Reads one file and ends. Not a daemon: Python would stop one in the middle of native code, and crash."""

    def __init__(self, file: Path, windows: Callable[[Path], ChunkWindows]) -> None:
        super().__init__(name=f"reader of {file.name}")
        self.file = file
        self._make = windows
        self._windows: ChunkWindows | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        if sys.platform == "linux":
            _step_back()
            _return_freed_memory()
        try:
            self._windows = self._make(self.file)
        except BaseException as error:  # whatever it is: `result` raises it where the windows are needed
            self._error = error

    def result(self) -> ChunkWindows:
        """After the thread has ended."""
        if self._error is not None:
            raise self._error
        assert self._windows is not None
        return self._windows


def _step_back() -> None:
    """Lower this thread's priority; on Linux a thread has its own."""
    with contextlib.suppress(OSError):  # it was lower already
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _return_freed_memory() -> None:
    """Give the last shard's smaller arrays back to the system: glibc keeps what is freed below 32 MB in pieces."""
    with contextlib.suppress(AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
