"""Finding every run directory at or below the given paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from qam_torch.rundir.paths import RunPaths
from qam_torch.system.files import absolute
from qam_torch.types import QamError

__all__ = ["RunsAndRecords", "find_runs"]


class RunsAndRecords(NamedTuple):
    """Run directories and sweep records at and below the given paths.

    Attributes:
        runs: name in the report -> run directory.
        records: files that sweeps write per run.
    """

    runs: dict[str, Path]
    records: list[Path]


def find_runs(paths: Sequence[str | os.PathLike[str]]) -> RunsAndRecords:
    """Find every run directory once. An empty directory counts as a run that did not start.

    Raises:
        QamError: a path does not exist, is not a directory, or contains no run.
    """
    roots = [absolute(path) for path in paths]
    runs: dict[Path, Path] = {}  # resolved path -> path as found, which may contain links
    records: dict[Path, None] = {}
    for given, root in zip(paths, roots, strict=True):
        if not root.exists():
            raise QamError(f"no directory '{given}': give run directories or a parent directory")
        if not root.is_dir():
            raise QamError(f"'{given}' is a file: give the run's directory or a parent directory")
        if not os.access(root, os.R_OK | os.X_OK):
            raise QamError(f"'{given}' cannot be read: give a directory with readable files")
        before = len(runs) + len(records)
        for path, is_run in _walk(root):
            if is_run:
                runs.setdefault(path.resolve(), path)
            else:
                records.setdefault(path.resolve())
        if len(runs) + len(records) == before and not any(path.is_relative_to(root.resolve()) for path in runs):
            raise QamError(f"no run in or below '{given}': expected a config.yaml, as qam-train writes it")
    common = Path(os.path.commonpath(roots))
    names = {
        resolved: str(path.relative_to(common)) if path != common else path.name for resolved, path in runs.items()
    }
    return RunsAndRecords({names[path]: path for path in sorted(runs, key=_natural_order)}, sorted(records))


def _walk(root: Path) -> Iterator[tuple[Path, bool]]:
    """Yield (run directory, True) and (sweep record, False). Directories below a run directory are not searched.

    Links are followed, but each directory is visited once. An unreadable directory counts as a run directory.
    """
    seen: set[Path] = set()
    unreadable: list[OSError] = []
    for folder, folders, files in os.walk(root, followlinks=True, onerror=unreadable.append):
        path = Path(folder)
        skip_below = path.resolve() in seen
        seen.add(path.resolve())
        if any(mark in files or mark in folders for mark in RunPaths.MARKS) or not (files or folders or path == root):
            yield path, True
            skip_below = True
        elif path.name == "runs" and path.parent.parent.name == "sweeps":
            yield from ((path / name, False) for name in files if re.fullmatch(r"\d+\.json", name))
        folders[:] = [] if skip_below else sorted(folders)
    yield from ((Path(error.filename), True) for error in unreadable)


def _natural_order(path: Path) -> list[tuple[str, int]]:
    """Sort key that puts seed2 before seed10."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", str(path))]
