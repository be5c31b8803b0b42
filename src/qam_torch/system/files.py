"""Paths, and atomic writing: content goes to a temporary file, which is then renamed to the target."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qam_torch.types import QamError

__all__ = ["absolute", "atomic_path", "flush_to_disk", "prepare_directory", "write_json", "write_text"]


def absolute(path: str | os.PathLike[str]) -> Path:
    """Expand ~ and make a path absolute; relative paths are relative to the working directory."""
    return Path(path).expanduser().absolute()


def prepare_directory(path: Path, what: str = "run directory", option: str = "runs_root=... or run_dir=...") -> None:
    """Make a directory and check that it can be written to.

    Args:
        path: path of the directory.
        what: description of the directory, for the message.
        option: options that select another directory, for the message.

    Raises:
        QamError: the directory cannot be made or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe.{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise QamError(f"{what} '{path}' cannot be written to ({error.strerror}): give another with {option}") from None


@contextlib.contextmanager
def atomic_path(target: Path, shared: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to the target after the block.

    If the process is killed, the disk is full, or the block raises an error, the previous target is not changed.

    Args:
        target: path of the file; its directory must exist.
        shared: whether several processes may write this target at the same time. The temporary name then contains the
            process id. Otherwise the name is always the same, so killed processes leave at most one temporary file.

    Yields:
        The temporary path in the directory of the target: `.NAME.tmp`, or `.NAME.PID.tmp` if shared.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp" if shared else f".{target.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def flush_to_disk(file: Any) -> None:
    """Force the content of an open file onto the disk, so that a later rename never precedes the content."""
    file.flush()
    os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Raises:
        QamError: the file cannot be written.
    """
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise QamError(f"could not write '{path}' ({error.strerror}): free some disk space") from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically; raises QamError if the file cannot be written."""
    write_text(path, json.dumps(content, indent=2) + "\n")
