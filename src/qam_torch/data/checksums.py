"""Compute the SHA-256 of a file once, and record it in NAME.npz.sha256 next to the file in the format of `sha256sum`.

A comment line in the record contains the size and the modification time of the hashed file. `sha256sum --check` skips
this line. As long as size and time are unchanged, the recorded hash is used. Otherwise the file is hashed again, and
the hash must equal the recorded one.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from qam_torch.data.ogbench_format import file_hash
from qam_torch.system.files import atomic_path
from qam_torch.types import QamError

__all__ = ["checksum", "record_checksum", "record_path"]


class _Record(NamedTuple):
    stamp: str
    sha256: str


def record_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of the file that records the checksum of a file: x.npz -> x.npz.sha256."""
    path = Path(path)
    return path.with_name(f"{path.name}.sha256")


def checksum(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file.

    The recorded hash is used if the file's size and time are unchanged. Otherwise the hash is computed, and recorded if
    the directory can be written to.

    Args:
        path: path of the file.

    Returns:
        The hash in hexadecimal.

    Raises:
        QamError: the file's bytes have changed since its checksum was recorded.
    """
    path = Path(path)
    record, stamp = _read(path), _stamp(path)
    if record is not None and record.stamp == stamp:
        return record.sha256
    sha256 = file_hash(path)
    if record is not None and record.sha256 != sha256:
        raise QamError(
            f"data file {path} has changed since its checksum was recorded (now {sha256[:12]}..., then "
            f"{record.sha256[:12]}...): fetch or generate it again, or remove {record_path(path)} if the change is "
            "intended"
        )
    with contextlib.suppress(OSError):
        _write(path, _Record(stamp, sha256))
    return sha256


def record_checksum(path: str | os.PathLike[str], now_at: str | os.PathLike[str] | None = None) -> str:
    """Compute and record the SHA-256 of a new file. An earlier record is replaced.

    Args:
        path: path of the file.
        now_at: current path of the file, if it will be renamed to `path` later.

    Returns:
        The hash in hexadecimal.
    """
    file = Path(now_at if now_at is not None else path)
    record = _Record(_stamp(file), file_hash(file))
    _write(Path(path), record)
    return record.sha256


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"# size {status.st_size} mtime_ns {status.st_mtime_ns}"


def _write(path: Path, record: _Record) -> None:
    with atomic_path(record_path(path), shared=True) as temporary:
        temporary.write_text(f"{record.stamp}\n{record.sha256}  {path.name}\n", encoding="utf-8")


def _read(path: Path) -> _Record | None:
    try:
        text = record_path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The comment is missing if the sha256sum program wrote the file.
    match = re.fullmatch(r"(?:(# size \d+ mtime_ns \d+)\n)?([0-9a-f]{64}) [ *](.+)\n", text)
    return _Record(match[1] or "", match[2]) if match and match[3] == path.name else None
