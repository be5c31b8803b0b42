"""A dataset of several files (shards), larger than memory: batches are drawn from one file while the next is read.

The file that an update uses depends on the number of the update only. So checkpoints need no state of the rotation.
Memory holds at most two files: a file is read only after the one before the current file has been released.
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
"""Niceness of the background thread on Linux. If it competes with training for a core, it gets a tenth of training's
share. That hardly slows training, and still reads a shard in time."""


class Shards:
    """Files in rotation: update u, counted from 0, draws from file (u // shard_every) % n.

    Args:
        files: one or more files, in order.
        load: path -> Transitions on the training device. It is called in a background thread, for one file at a time.
            It should read and release one array at a time, because its memory adds to that of two shards.
        shard_every: number of consecutive updates that use one file, at least 1.

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
            raise QamError("there are no data files: give the dataset's directory")
        for file in self.files:
            if not file.is_file():
                raise QamError(f"data file {file} does not exist: check the path, or put the file there")
        self.load, self.shard_every = load, shard_every
        about = [(file.name, content_mark(file)) for file in self.files]
        self.fingerprint = hashlib.sha256(repr((shard_every, about)).encode()).hexdigest()

    def front(self, fraction: float) -> Shards:
        """The first shards only.

        Args:
            fraction: share of the files, in (0, 1]; at least one file is kept.
        """
        require("fraction", 0.0 < fraction <= 1.0, fraction, "a number in (0, 1]")
        return Shards(self.files[: max(1, round(fraction * len(self.files)))], self.load, self.shard_every)

    def file(self, update: int) -> Path:
        """The file that an update uses."""
        return self.files[update // self.shard_every % len(self.files)]

    def next_swap(self, update: int) -> int:
        """The first later update that uses another file."""
        return update - update % self.shard_every + self.shard_every


class Rotation:
    """Returns the windows of one shard after another, and reads the next shard in the background.

    It keeps no reference to windows that it has returned. The caller first drops the old windows, which frees their
    memory, and then calls `read_ahead`. So memory never holds more than two shards.

    Args:
        shards: the shards.
        prepare: Transitions -> ChunkWindows; called in the background thread too.

    Attributes:
        file: file of the most recently returned windows.
    """

    def __init__(self, shards: Shards, prepare: Callable[[Transitions], ChunkWindows]) -> None:
        self.shards, self.prepare = shards, prepare
        self.file: Path | None = None
        self._sizes: tuple[int, int] | None = None
        self._ahead: _Reader | None = None
        self._stream: torch.cuda.Stream | None = None

    def take(self, update: int) -> ChunkWindows:
        """The windows that an update uses. Waits until they have been read.

        Raises:
            QamError: the file is invalid, its observations or actions have other sizes than those of earlier files, or
                `prepare` raises it. Errors of the background thread are raised here.
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
        """Start to read the next file after that of an update, in the background."""
        file = self.shards.file(self.shards.next_swap(update))
        if file == self.shards.file(update) or self._ahead is not None:
            return
        if self._stream is not None:
            # The memory of the released shard is reused, but the GPU may still gather batches from it.
            self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        self._ahead = _Reader(file, self._windows_in_background)
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

    def _windows_in_background(self, file: Path) -> ChunkWindows:
        """`_windows` for the background thread. On a GPU it uses a separate stream, so that training does not wait."""
        if self._stream is None:
            return self._windows(file)
        with torch.cuda.stream(self._stream):
            windows = self._windows(file)
            self._stream.synchronize()
        return windows


class _Reader(threading.Thread):
    """Reads one file. It is not a daemon thread: Python would stop a daemon inside native code at exit, and crash."""

    def __init__(self, file: Path, windows: Callable[[Path], ChunkWindows]) -> None:
        super().__init__(name=f"reader of {file.name}")
        self.file = file
        self._make = windows
        self._windows: ChunkWindows | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        if sys.platform == "linux":
            _lower_priority()
            return_freed_memory()  # memory of small arrays of the previous shard
        try:
            self._windows = self._make(self.file)
        except BaseException as error:  # raised again by `result`
            self._error = error

    def result(self) -> ChunkWindows:
        """The windows, after `join`. Raises the exception of the thread, if there was one."""
        if self._error is not None:
            raise self._error
        assert self._windows is not None
        return self._windows


def _lower_priority() -> None:
    """Lower the priority of this thread only, which Linux supports."""
    with contextlib.suppress(OSError):  # the priority was lower already
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
