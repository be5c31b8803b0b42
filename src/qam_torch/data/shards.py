"""A dataset of many files, larger than memory: one file is drawn from while the next is read in the background.

The file of an update depends on the update only, so that a checkpoint needs no state of it. Memory holds at most two
files: reading the file after next starts when the previous file has been released.
"""

from __future__ import annotations

import contextlib
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
from qam_torch.system.machine import return_freed_memory
from qam_torch.types import QamError, require

__all__ = ["Rotation", "Shards"]

NICENESS = 10
"""Niceness of the background thread on Linux: where they compete it gets a tenth of training's share of a core, which
hardly slows training down, and still reads a shard in time on a busy machine."""


class Shards:
    """Files in rotation: update u, counted from 0, draws from file (u // shard_every) % n.

    Args:
        files: one or more files, in order.
        load: path -> Transitions on the training device; called in the background, for one file at a time. Its own
            memory is needed in addition to the two shards, so it should read, use and release array by array.
        shard_every: updates between exchanges, at least 1.

    Attributes:
        fingerprint: hash of shard_every and of the files' names and `content_mark`s, in order.

    Raises:
        QamError: there are no files, a file is missing, or shard_every is below 1.
    """

    def __init__(
        self,
        files: Sequence[str | os.PathLike[str]],
        load: Callable[[Path], Transitions],
        shard_every: int = 1000,
    ) -> None:
        require("shard_every", shard_every >= 1, shard_every, "an integer >= 1")
        self.files = [Path(file) for file in files]
        if not self.files:
            raise QamError("there are no data files: give the directory of the dataset")
        for file in self.files:
            if not file.is_file():
                raise QamError(f"data file {file} does not exist: check the path, or put the file there")
        self.load, self.shard_every = load, shard_every
        about = [(file.name, content_mark(file)) for file in self.files]
        self.fingerprint = hashlib.sha256(repr((shard_every, about)).encode()).hexdigest()

    def front(self, fraction: float) -> Shards:
        """The first files: this fraction in (0, 1] of them, at least one."""
        require("fraction", 0.0 < fraction <= 1.0, fraction, "a number in (0, 1]")
        return Shards(self.files[: max(1, round(fraction * len(self.files)))], self.load, self.shard_every)

    def file(self, update: int) -> Path:
        """The file of this update."""
        return self.files[update // self.shard_every % len(self.files)]

    def next_swap(self, update: int) -> int:
        """The first update after this one that draws from the next file."""
        return update - update % self.shard_every + self.shard_every


class Rotation:
    """Returns the windows of the shards in rotation, and reads ahead.

    It keeps no reference to windows that it has returned. The caller replaces the windows in use by the next ones,
    which frees them, and only then calls `read_ahead`: so memory never holds more than two.

    Args:
        shards: the files.
        prepare: Transitions -> ChunkWindows; called in the background too.

    Attributes:
        file: file of the windows returned last.
    """

    def __init__(self, shards: Shards, prepare: Callable[[Transitions], ChunkWindows]) -> None:
        self.shards, self.prepare = shards, prepare
        self.file: Path | None = None
        self._sizes: tuple[int, int] | None = None
        self._ahead: _Reader | None = None
        self._stream: torch.cuda.Stream | None = None

    def take(self, update: int) -> ChunkWindows:
        """The windows of the file of this update; waits for them if they are not ready.

        Raises:
            QamError: the file is wrong (also if the background has found it), has observations or actions of other
                sizes than earlier files, or `prepare` raises it.
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
        """Start to read the file after that of this update, in the background."""
        file = self.shards.file(self.shards.next_swap(update))
        if file == self.shards.file(update) or self._ahead is not None:
            return
        if self._stream is not None:
            # The GPU may still have to gather batches from the shard whose memory is now reused.
            self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        self._ahead = _Reader(file, self._windows_aside)
        self._ahead.start()

    def close(self) -> None:
        """Discard what was read ahead, and wait for the thread if it is still reading."""
        if self._ahead is not None:
            self._ahead.join()
            self._ahead = None

    def _windows(self, file: Path) -> ChunkWindows:
        transitions = self.shards.load(file)
        sizes = (transitions.observation_dim, transitions.action_dim)
        if sizes != (self._sizes or sizes):
            raise QamError(
                f"data file {file} has observations and actions of sizes {sizes} but earlier files {self._sizes}: "
                "give the files of one dataset only"
            )
        self._sizes = sizes
        if transitions.device.type == "cuda" and self._stream is None:
            self._stream = torch.cuda.Stream(transitions.device)
        try:
            return self.prepare(transitions)
        except QamError as error:
            raise QamError(f"data file {file}: {error}") from error

    def _windows_aside(self, file: Path) -> ChunkWindows:
        """The same in the background: on a GPU in its own stream, so that training does not wait for it."""
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
            _lower_priority()
            return_freed_memory()  # the last shard's smaller arrays
        try:
            self._windows = self._make(self.file)
        except BaseException as error:  # `result` raises it where the windows are needed
            self._error = error

    def result(self) -> ChunkWindows:
        """The windows, after the thread has ended; raises what reading has raised."""
        if self._error is not None:
            raise self._error
        assert self._windows is not None
        return self._windows


def _lower_priority() -> None:
    """Lower this thread's priority; on Linux a thread has its own."""
    with contextlib.suppress(OSError):  # the priority was lower already
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
