"""Check a data file, and list all its problems and notable properties as findings.

For training, `ogbench_format.read_npz` stops at the first problem. `inspect_file` continues with all arrays that can
still be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import gymnasium
import numpy as np

from qam_torch.data.array_checks import are_flags, array_problem, converted, layout_problems, non_finite_row
from qam_torch.data.catalog import CatalogEntry
from qam_torch.data.checksums import record_path
from qam_torch.data.inspection.duplicates import common_rows, repeated_episodes
from qam_torch.data.inspection.environment_match import Extent, check_buttons, check_positions, check_spaces
from qam_torch.data.inspection.findings import Finding, Level
from qam_torch.data.inspection.readable_arrays import readable_arrays
from qam_torch.data.ogbench_format import OGBENCH_LAYOUT, file_hash, validation_path
from qam_torch.data.transitions import ACTION_LIMIT

__all__ = ["inspect_file"]

Arrays = dict[str, np.ndarray]

_STRAY_SHARE = 0.01  # a point mass in a corner sometimes repeats a row; a larger share means a copy


def inspect_file(
    path: str | os.PathLike[str],
    environment: gymnasium.Env | None = None,
    published: CatalogEntry | None = None,
    extent: Extent | None = None,
) -> list[Finding]:
    """Run all checks on one OGBench file. Python objects are never unpickled.

    Args:
        path: path of the file. Its validation file and checksum ("x.npz.sha256") are expected beside it.
        environment: environment that the file should match; it may be reset. None skips these checks.
        published: catalog entry with which the file is compared. None skips this comparison.
        extent: left, right, bottom and top edge of a maze. Positions (qpos[:, :2]) must be between them. None skips
            this check.

    Returns:
        The findings, in a fixed order of checks. A check may have several findings, one per problem.
    """
    path = Path(path)
    arrays, damage = readable_arrays(path)
    findings = [*_file(path, arrays, damage), *_checksum(path)]
    if "" in damage:
        return findings
    findings += _names([*arrays, *damage])
    known = {name: arrays[name] for name in OGBENCH_LAYOUT if name in arrays}
    findings += _layout(known)
    sound = {name: array for name, array in known.items() if not array_problem(OGBENCH_LAYOUT[name], array)}
    findings += [*_numbers(sound), *_action_range(sound), *_terminals(sound), *_episodes(sound, path, published)]
    findings += [*_repeats(sound), *_held_out(path, sound)]
    if environment is not None:
        findings += [*check_spaces(sound, environment), *check_buttons(sound, environment)]
    if extent is not None:
        findings += check_positions(sound, extent)
    return findings


def _file(path: Path, arrays: Arrays, damage: Mapping[str, str]) -> Iterator[Finding]:
    yield from (Finding("file", "error", problem) for problem in damage.values())
    if not damage:
        yield Finding("file", "ok", f"{path.stat().st_size / 1e6:,.2f} MB, {len(arrays)} arrays")


def _checksum(path: Path) -> Iterator[Finding]:
    """Compare the SHA-256 of the file with the recorded one, which any tool may have written."""
    record = record_path(path)
    try:
        text = record.read_text(encoding="utf-8", errors="replace")
        actual = file_hash(path)
    except FileNotFoundError:
        yield Finding("checksum", "note", f"none recorded in a {record.suffix} file beside it")
        return
    except OSError as error:
        yield Finding("checksum", "error", f"cannot be compared with {record.name} ({error.strerror or error})")
        return
    match = re.search(r"\b[0-9a-f]{64}\b", text.lower())
    if match is None:
        yield Finding("checksum", "error", f"{record.name} holds no SHA-256: remove it")
    elif match[0] != actual:
        yield Finding("checksum", "error", f"recorded was sha256 {match[0][:12]}..., the file's is {actual[:12]}...")
    else:
        yield Finding("checksum", "ok", f"sha256 {actual[:12]}... as recorded")


def _names(names: Collection[str]) -> Iterator[Finding]:
    missing = [name for name, spec in OGBENCH_LAYOUT.items() if spec.required and name not in names]
    unknown = [name for name in names if name not in OGBENCH_LAYOUT]
    if missing:
        yield Finding("arrays", "error", f"missing: {', '.join(missing)}")
    if unknown:
        yield Finding("arrays", "note", f"unknown and ignored: {', '.join(unknown)}")
    if not missing and not unknown:
        yield Finding("arrays", "ok", ", ".join(names))


def _layout(known: Arrays) -> Iterator[Finding]:
    problems = list(layout_problems(known, OGBENCH_LAYOUT))
    yield from (Finding("shapes", "error", problem) for problem in problems)
    if known and not problems:
        rows = len(next(iter(known.values())))
        columns = ", ".join(" ".join(map(str, (name, *array.shape[1:], array.dtype))) for name, array in known.items())
        yield Finding("shapes", "ok", f"{rows:,} rows of {columns}")


def _numbers(arrays: Arrays) -> Iterator[Finding]:
    damaged = False
    for name, given in arrays.items():
        array = converted(given, OGBENCH_LAYOUT[name])  # as for training
        if (first := non_finite_row(array)) is not None:
            damaged = True
            nan, infinite = int(np.isnan(given).sum()), int(np.isinf(given).sum())
            large = int((~np.isfinite(array)).sum()) - nan - infinite
            kinds = f"{nan:,} NaN and {infinite:,} infinite" + (
                f" and {large:,} beyond float32's range" if large else ""
            )
            yield Finding("numbers", "error", f"'{name}' has {kinds}, first in row {first}")
    if arrays and not damaged:
        yield Finding("numbers", "ok", "all finite")


def _action_range(arrays: Arrays) -> Iterator[Finding]:
    if "actions" not in arrays:
        return
    size = np.abs(arrays["actions"])
    outside, clipped = int((size > 1).sum()), int((size > ACTION_LIMIT).sum())
    if outside:
        row = int(np.argmax((size > 1).any(axis=1)))
        message = (
            f"{outside:,} of {size.size:,} numbers outside [-1, 1], first in row {row}, largest {np.nanmax(size):.4g}"
        )
        yield Finding("actions", "error", message)
    elif clipped:
        share = clipped / size.size
        message = f"in [-1, 1]; {clipped:,} numbers ({share:.1%}) beyond 1 - 1e-5 are clipped when loaded"
        yield Finding("actions", "note", message)
    else:
        yield Finding("actions", "ok", "in [-1, 1]")


def _terminals(arrays: Arrays) -> Iterator[Finding]:
    if "terminals" not in arrays:
        return
    flags = arrays["terminals"]
    strange = int((~are_flags(flags)).sum())
    if strange:
        yield Finding("terminals", "error", f"{strange:,} values other than 0 and 1")
    if not flags.any():
        yield Finding("terminals", "error", "never set: it belongs on the last row of every episode")
    elif not flags[-1]:
        dangling = len(flags) - 1 - int(np.flatnonzero(flags)[-1])
        yield Finding("terminals", "error", f"last row is not terminal: {dangling:,} rows belong to no ended episode")
    elif not strange:
        yield Finding("terminals", "ok", "0 or 1, last row terminal")


def _episode_ends(arrays: Arrays) -> np.ndarray:
    """Return the index of the row after each episode's last row, including an unfinished last episode."""
    return np.union1d(np.flatnonzero(arrays["terminals"]) + 1, [len(arrays["terminals"])])


def _episodes(arrays: Arrays, path: Path, published: CatalogEntry | None) -> Iterator[Finding]:
    if "terminals" not in arrays:
        return
    lengths = np.diff(_episode_ends(arrays), prepend=0) - 1
    least, middle, most = int(lengths.min()), float(np.median(lengths)), int(lengths.max())
    message = f"{len(lengths):,} of {least:,} to {most:,} transitions, median {middle:,.0f}; {lengths.sum():,} in all"
    if not most:
        yield Finding("episodes", "error", "no row starts a transition: terminals belong on last rows only")
        return
    yield Finding("episodes", "ok", message)
    if empty := int((lengths == 0).sum()):
        yield Finding("episodes", "note", f"{empty:,} have no transition (a single, terminal row)")
    if published is not None:
        episodes = published.episodes // 10 if path.stem.endswith("-val") else published.episodes
        if (len(lengths), least, most) != (episodes, published.steps, published.steps):
            message = f"{published.name} as published has {episodes:,} of {published.steps:,} transitions each"
            yield Finding("episodes", "note", message)


def _paired(arrays: Arrays, *more: str) -> bool:
    """Check whether observations, actions and the named arrays exist and have equal numbers of rows."""
    keys = ("observations", "actions", *more)
    return all(key in arrays for key in keys) and len({len(arrays[key]) for key in keys}) == 1


def _repeats(arrays: Arrays) -> Iterator[Finding]:
    if not _paired(arrays, "terminals"):
        return
    ends = _episode_ends(arrays)
    if twins := repeated_episodes((arrays["observations"], arrays["actions"]), ends):
        first, again = twins[0]
        message = f"{len(twins):,} of {len(ends):,} repeated: number {again} equals number {first}, counted from 0"
        yield Finding("repeats", "error", message)
    else:
        yield Finding("repeats", "ok", "no episode equals an earlier one")


def _held_out(path: Path, arrays: Arrays) -> Iterator[Finding]:
    """Count the rows that are also in the validation file."""
    if path.stem.endswith("-val") or not _paired(arrays):
        return
    other = validation_path(path)
    if not other.is_file():
        yield Finding("validation", "note", "no -val file beside it")
        return
    held_out, _ = readable_arrays(other)
    comparable = _paired(held_out) and all(
        not array_problem(OGBENCH_LAYOUT[name], held_out[name]) and held_out[name].shape[1] == arrays[name].shape[1]
        for name in ("observations", "actions")
    )
    if not comparable:
        yield Finding("validation", "note", "its -val file cannot be compared: check it, too")
        return
    mine, theirs = ((each["observations"], each["actions"]) for each in (arrays, held_out))
    common = common_rows(mine, theirs)
    message = f"{common:,} rows are also in its -val file (of {len(theirs[0]):,} rows)"
    level: Level = "ok" if not common else "note" if common <= _STRAY_SHARE * len(theirs[0]) else "error"
    yield Finding("validation", level, message)
