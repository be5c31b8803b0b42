"""Store collected transitions in an append-only file.

A checkpoint contains the number of steps in this file and their checksum instead of the replay buffer. So saving takes
only as long as writing the steps since the last save. If a run is killed, the file may be longer than at the last
checkpoint. When the run continues, it removes the additional steps.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qam_torch.system.files import flush_to_disk
from qam_torch.types import Experience, QamError

__all__ = ["ReplayLog"]

_BLOCK = 1 << 22  # number of bytes per read


class ReplayLog:
    """Appends steps of P members in E environments to a file, and reads them back.

    One record holds one step of all environments, in native byte order and with the dtypes of `Experience`.

    Args:
        path: path of the file. The first call of `append` overwrites an existing file, except after `restore`.
        members: P.
        streams: E.
        observation_dim: O.
        action_dim: A.
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
        """Append steps. The next `flush` writes them to the disk."""
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
        """Write all appended steps to the disk, and return the state for a checkpoint."""
        if self._file is not None:
            try:
                flush_to_disk(self._file)
            except OSError as error:
                raise self._full(error) from error
        return {"steps": self.steps, "checksum": self._checksum}

    def restore(self, state: Mapping[str, int]) -> Iterator[Experience]:
        """Read the steps of a checkpoint block by block. Later steps are appended after them.

        Args:
            state: state from `flush`.

        Raises:
            QamError: the file is missing or too short, or its content differs from what was written.
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
                            raise self._damaged(f"it has fewer than the recorded {size:,} bytes")
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
        """Close the file."""
        if self._file is not None:
            file, self._file = self._file, None
            with contextlib.suppress(OSError):  # steps after the last checkpoint are not needed
                file.close()

    def _full(self, error: OSError) -> QamError:
        return QamError(f"could not write the replay buffer '{self.path}' ({error.strerror}): free some disk space")

    def _damaged(self, reason: str) -> QamError:
        return QamError(
            f"the replay buffer '{self.path}' does not belong to the checkpoint ({reason}): restore the file that "
            "was written with it, or start the online phase again with init_from=CKPT in another run_dir"
        )
