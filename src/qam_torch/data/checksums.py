"""A file's SHA-256, kept in NAME.npz.sha256 beside it as `sha256sum` writes it, so that it is computed once.

A comment line, which `sha256sum --check` skips, holds the size and the time of the file that was hashed. While they
agree, the recorded hash is the file's; when they do not, the file is hashed again and must still be the same. A record
cut short by a kill is no record.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from qam_torch.data.ogbench_format import file_hash
from qam_torch.types import QamError

__all__ = ["checksum", "record_checksum", "record_path"]


class _Record(NamedTuple):
    stamp: str
    sha256: str


def record_path(path: str | os.PathLike[str]) -> Path:
    """Where the checksum of a file is recorded: x.npz -> x.npz.sha256."""
    path = Path(path)
    return path.with_name(f"{path.name}.sha256")


def checksum(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file in hexadecimal: the recorded one while size and time agree, else computed and recorded.

    Where the directory cannot be written to, it is computed every time. Raises QamError for a file whose bytes have
    changed since its checksum was recorded.
    """
    path = Path(path)
    record, stamp = _read(path), _stamp(path)
    if record is not None and record.stamp == stamp:
        return record.sha256
    sha256 = file_hash(path)
    if record is not None and record.sha256 != sha256:
        raise QamError(
            f"data file {path} has changed since its checksum was recorded (now {sha256[:12]}..., then "
            f"{record.sha256[:12]}...): fetch or generate it again, or remove {record_path(path)} if this was meant"
        )
    with contextlib.suppress(OSError):
        _write(path, _Record(stamp, sha256))
    return sha256


def record_checksum(path: str | os.PathLike[str], now_at: str | os.PathLike[str] | None = None) -> str:
    """Compute and record the SHA-256 of a new file, whatever was recorded before, and return it.

    now_at  where the file still is, if it is about to be renamed to `path`
    """
    file = Path(now_at if now_at is not None else path)
    record = _Record(_stamp(file), file_hash(file))
    _write(Path(path), record)
    return record.sha256


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"# size {status.st_size} mtime_ns {status.st_mtime_ns}"


def _write(path: Path, record: _Record) -> None:
    record_path(path).write_text(f"{record.stamp}\n{record.sha256}  {path.name}\n")


def _read(path: Path) -> _Record | None:
    try:
        text = record_path(path).read_text(errors="replace")
    except OSError:
        return None
    # The comment is missing where somebody else's sha256sum wrote the file.
    match = re.fullmatch(r"(?:(# size \d+ mtime_ns \d+)\n)?([0-9a-f]{64}) [ *](.+)\n", text)
    return _Record(match[1] or "", match[2]) if match and match[3] == path.name else None
