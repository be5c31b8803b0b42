"""What has been collected, on disk: a file that is only ever appended to.

A checkpoint does not hold the replay buffer but says how far into this file it goes, so that saving costs what has come
in since the last save. A kill leaves the file longer than the last checkpoint says; what is beyond is cut off when the
run continues.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qam_torch.types import Experience, QamError

__all__ = ["ReplayLog"]

_BLOCK = 1 << 22  # bytes read at once


class ReplayLog:
    """Appends steps of P members in E environments to a file, and reads them back.

    path                         made anew when the first steps come; a file that is there is only kept by `restore`
    members, streams             P, E
    observation_dim, action_dim  O, A

    One record holds one step of all environments, in the machine's byte order and the fields' own precision.
    """

    def __init__(self, path: Path, members: int, streams: int, observation_dim: int, action_dim: int) -> None:
        self.path = path
        lead, vector = (members, streams), (members, streams, observation_dim)
        self.record = np.dtype(
            [
                ("observations", np.float32, vector),
                ("actions", np.float32, (members, streams, action_dim)),
                ("rewards", np.float64, lead),
                ("masks", np.float32, lead),
                ("begins", np.bool_, lead),
                ("next_observations", np.float32, vector),
            ]
        )
        self.steps = 0
        self._checksum = 0
        self._file: Any = None

    def append(self, new: Experience) -> None:
        """Add steps; they reach the disk with the next `flush`, or before."""
        records = np.empty(len(new.rewards), self.record)
        for name, field in new._asdict().items():
            records[name] = field
        content = records.tobytes()
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(self.path, "wb", buffering=1 << 20)  # noqa: SIM115 (kept open)
            self._file.write(content)
        except OSError as error:
            raise self._full(error) from error
        self.steps += len(records)
        self._checksum = zlib.crc32(content, self._checksum)

    def flush(self) -> dict[str, int]:
        """Bring everything to the disk, and say what a checkpoint has to remember of it."""
        if self._file is not None:
            try:
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError as error:
                raise self._full(error) from error
        return {"steps": self.steps, "checksum": self._checksum}

    def restore(self, state: Mapping[str, int]) -> Iterator[Experience]:
        """Give back the steps that a checkpoint remembers, block by block, then go on behind them.

        state  from `flush`

        Raises QamError when the file is missing, too short, or not what was written.
        """
        size = state["steps"] * self.record.itemsize
        rows = max(1, _BLOCK // self.record.itemsize)
        try:
            if state["steps"]:
                with open(self.path, "rb") as file:
                    for first in range(0, state["steps"], rows):
                        count = min(rows, state["steps"] - first)
                        content = file.read(count * self.record.itemsize)
                        if len(content) < count * self.record.itemsize:
                            raise self._damaged(f"it has less than the {size:,} bytes it had")
                        self._checksum = zlib.crc32(content, self._checksum)
                        records = np.frombuffer(content, self.record)
                        yield Experience(*(records[name].copy() for name in Experience._fields))
                if self._checksum != state["checksum"]:
                    raise self._damaged("its checksum differs")
                self._file = open(self.path, "r+b", buffering=1 << 20)  # noqa: SIM115 (kept open)
                self._file.truncate(size)
                self._file.seek(size)
        except OSError as error:
            raise self._damaged(error.strerror or "unreadable") from error
        self.steps = state["steps"]

    def close(self) -> None:
        """Release the file."""
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):  # what no checkpoint knows of is not needed
                file.close()

    def _full(self, error: OSError) -> QamError:
        return QamError(f"could not write the replay buffer '{self.path}' ({error.strerror}): free some disk space")

    def _damaged(self, reason: str) -> QamError:
        return QamError(
            f"the replay buffer '{self.path}' does not belong to the checkpoint ({reason}): put the file back that was "
            "written with it, or start the online phase anew with init_from=CKPT in another run_dir"
        )
