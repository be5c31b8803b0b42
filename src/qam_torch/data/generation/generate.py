"""Datasets made here, with OGBench's environments and oracles, in OGBench's file format.

A recipe makes one episode from (seed, episode index, rows) alone; this module decides how many episodes, has them made
in worker processes, and writes the files, which therefore depend neither on the number of workers nor on how often the
work was interrupted. Another family of environments is another recipe.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from qam_torch.data.catalog import DATASET_URL, CatalogEntry, catalog_entry
from qam_torch.data.generation.episode_files import Episode, EpisodeFiles, EpisodeNotWritten, Recipe
from qam_torch.data.generation.file_plan import Shard, shards
from qam_torch.data.generation.manipulation import ManipulationEpisode
from qam_torch.data.generation.pointmaze import NavigateEpisode, StitchEpisode
from qam_torch.data.generation.workers import make_episodes
from qam_torch.data.ogbench_format import file_hash, write_npz_atomic
from qam_torch.system.locks import alone
from qam_torch.system.machine import cpu_cores
from qam_torch.system.worker_process import WorkerDied
from qam_torch.types import QamError

__all__ = ["Progress", "generate", "recipe"]

Progress = Callable[[int, int], None]
"""Called with (transitions made, transitions in all, validation included)."""

LARGEST = 20_000_000
"""Transitions of one file at most: they are joined in memory. OGBench's largest file has five million."""

_PARTS = ".{}.parts-"
"""How the names of directories for unfinished work start."""

_TOOLS = ("qam-torch", "ogbench", "mujoco", "gymnasium", "numpy", "scipy")
"""Packages whose version can change an episode's bits."""


def generate(
    name: str,
    path: str | os.PathLike[str],
    transitions: int | None = None,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
    keep: bool = False,
) -> bool:
    """Make a dataset by OGBench's recipe.

    name         a dataset of the catalog that OGBench's scripted oracles make, e.g. "cube-triple-play-v0"
    path         training file; the validation file, with a tenth as many episodes, goes beside it (`validation_path`).
                 For a set of several shards: a directory, in which they get OGBench's names, one pair after the other
    transitions  int, 1 to LARGEST, in episodes of the published length; if no multiple, episodes are made equally long
                 (to one step) instead of leaving a stub that might be shorter than a chunk. As published when None
    seed         int >= 0
    workers      processes; one for each CPU when None; 1 works in this process
    progress     called after each episode
    keep         leave a dataset whose files are all there, perhaps since another process has just made it, as it is
    ->           whether it was made

    The same (name, transitions, seed) gives the same bytes, as long as OGBench's and MuJoCo's versions are the same.
    Each file appears in one piece, a training file after its validation file. Until then the finished episodes are kept
    in a hidden directory beside `path`, where a call with the same arguments goes on after whatever ended the first.
    Of two processes that make the same `path`, one waits for the other.

    Raises QamError for a dataset that is unknown or needs trained experts, numbers out of range, a path that cannot be
    written, or a worker that died.
    """
    entry = catalog_entry(name)
    workers = workers if workers is not None else cpu_cores()
    transitions = transitions if transitions is not None else entry.transitions
    for argument, value, least in (("transitions", transitions, 1), ("seed", seed, 0), ("workers", workers, 1)):
        if value < least:
            raise QamError(f"{argument}={value} is out of range: give at least {least}")
    if transitions > LARGEST * entry.shards:
        raise QamError(
            f"transitions={transitions} is out of range: give at most {LARGEST:,} for a file, and make several files "
            "with other seeds in one directory, which data.path can name"
        )
    path, make = Path(path), recipe(entry)
    plan = shards(entry, path, transitions)
    if keep and _is_there(plan) and not _leftovers(path, plan):  # nothing to write: the directory may be read-only
        return False
    count = _Counter(progress, sum(rows - 1 for shard in plan for _, rows in shard.episodes))
    try:
        with _held(path):
            needed = not (keep and _is_there(plan))
            directory = _unfinished(path, [name, transitions, seed])
            for number, shard in enumerate(plan if needed else ()):
                _make_shard(shard, EpisodeFiles(directory / f"{number:03d}", make, seed), workers, count)
            _remove_leftovers(path, plan)
            return needed
    except EpisodeNotWritten as error:
        raise QamError(f"cannot write dataset {path} ({error}): free some space or choose another directory") from error
    except WorkerDied as error:
        raise QamError(
            f"a worker that generates data died ({error}): see its message above, check the memory, or use workers=1"
        ) from error


def recipe(entry: CatalogEntry) -> Recipe:
    """What makes the episodes of a dataset; raises QamError where that takes trained experts."""
    if not entry.generated_by_oracle:
        raise QamError(
            f"dataset '{entry.name}' cannot be generated, since it takes trained experts, which OGBench does not "
            f"ship: fetch {DATASET_URL}/{entry.files[0]}"
        )
    if entry.family == "pointmaze":
        episode = {"navigate": NavigateEpisode, "stitch": StitchEpisode}[entry.kind]
        return episode(entry.environment.split("-")[1])
    return ManipulationEpisode(entry.environment, "play" if entry.kind == "play" else "noisy")


def _make_shard(shard: Shard, kept: EpisodeFiles, workers: int, count: _Counter) -> None:
    record = kept.directory.with_suffix(".written")
    if _is_written(shard, record):
        count.add(shard.episodes)
        return
    with contextlib.closing(make_episodes(kept, shard.episodes, min(workers, len(shard.episodes)))) as made:
        for episode in made:
            count.add([episode])
    for file in (shard.validation, shard.training):  # whoever finds the training file finds both
        write_npz_atomic(file.path, _joined(kept, file.episodes))
    with contextlib.suppress(OSError):  # no harm but a shard made twice, should the work be interrupted later
        record.write_text(" ".join(file_hash(file.path) for file in shard))
    shutil.rmtree(kept.directory, ignore_errors=True)


def _is_written(shard: Shard, record: Path) -> bool:
    """Whether the record, the hashes of a shard's two files, is there and true."""
    try:
        return record.read_bytes().split() == [file_hash(file.path).encode() for file in shard]
    except OSError:
        return False


def _joined(kept: EpisodeFiles, episodes: list[tuple[int, int]]) -> Episode:
    """All in a row, none held twice."""
    arrays: Episode = {}
    row, total = 0, sum(rows for _, rows in episodes)
    for index, rows in episodes:
        for key, values in kept.episode(index, rows).items():
            if row == 0:
                arrays[key] = np.empty((total, *values.shape[1:]), values.dtype)
            arrays[key][row : row + rows] = values
        row += rows
    return arrays


def _unfinished(path: Path, made: list[str | int]) -> Path:
    """The directory for unfinished work, which whoever makes the same again with the same tools finds again."""
    tools = [importlib.metadata.version(tool) for tool in _TOOLS]
    return path.with_name(
        _PARTS.format(path.name) + hashlib.sha256(json.dumps([made, tools]).encode()).hexdigest()[:16]
    )


def _is_there(plan: list[Shard]) -> bool:
    return all(file.path.is_file() for shard in plan for file in shard)


def _leftovers(path: Path, plan: list[Shard]) -> list[Path]:
    """What is of no more use beside a dataset that is whole, though it may be another process's for a moment yet."""
    found = [*path.parent.glob(_PARTS.format(glob.escape(path.name)) + "*"), path.with_name(f".{path.name}.lock")]
    for file in (file.path for shard in plan for file in shard):
        found += file.parent.glob(f".{glob.escape(file.name)}.[0-9]*.tmp")  # see `write_npz_atomic`
    return [file for file in found if file.exists()]


def _remove_leftovers(path: Path, plan: list[Shard]) -> None:
    for found in _leftovers(path, plan):
        if found.is_dir():
            shutil.rmtree(found, ignore_errors=True)
        elif found.suffix == ".tmp":
            with contextlib.suppress(OSError):
                found.unlink()


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """The lock of a dataset, in a directory made if needed."""
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(alone(path))
        except OSError as error:
            raise EpisodeNotWritten(error.strerror or str(error)) from error
        yield


class _Counter:
    """Tells how many transitions there are by now."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._made, self._total = progress, 0, total

    def add(self, episodes: list[tuple[int, int]]) -> None:
        for _, rows in episodes:
            self._made += rows - 1
            if self._progress is not None:
                self._progress(self._made, self._total)
