"""The plan of a generated dataset: its files, and which episodes are in each of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from qam_torch.data.catalog import CatalogEntry
from qam_torch.data.ogbench_format import validation_path
from qam_torch.types import QamError

__all__ = ["Shard", "ShardFile", "episode_lengths", "plan_shards"]


class ShardFile(NamedTuple):
    """A file and (index, rows) of the episodes in it, in order."""

    path: Path
    episodes: list[tuple[int, int]]


class Shard(NamedTuple):
    """A training file and its validation file."""

    training: ShardFile
    validation: ShardFile

    @property
    def episodes(self) -> list[tuple[int, int]]:
        """The episodes of both files."""
        return self.training.episodes + self.validation.episodes


def plan_shards(entry: CatalogEntry, path: Path, transitions: int) -> list[Shard]:
    """Distribute transitions over the files of a dataset.

    Args:
        entry: the dataset; a sharded dataset gets the smallest possible number of equally full shards.
        path: training file, or directory of the shards.
        transitions: training transitions of all files; validation files have a tenth as many episodes, at least one.

    Returns:
        The shards; episode indices count through all of them.

    Raises:
        QamError: the published shards cannot hold the transitions, or a file is where a directory is needed (or the
            other way round).
    """
    paths = [path]
    if entry.shards > 1:
        if transitions > entry.transitions:
            raise QamError(
                f"transitions={transitions} is out of range: '{entry.name}' has {entry.transitions}, the most possible"
            )
        count = -(-transitions // (entry.episodes * entry.steps))
        paths = [path / Path(file).name for file in entry.files[:count]]
    if path.exists() and path.is_dir() != (entry.shards > 1):
        needed, found = ("a file", "a directory") if entry.shards == 1 else ("a directory", "a file")
        raise QamError(f"cannot write dataset {path}: '{entry.name}' needs {needed}, this is {found}: give another")
    result: list[Shard] = []
    first = 0
    for file, share in zip(paths, _shares(transitions, len(paths)), strict=True):
        lengths = episode_lengths(share, entry.steps)
        held_out = max(1, len(lengths) // 10)
        rows = [length + 1 for length in lengths + lengths[:1] * held_out]
        episodes = list(enumerate(rows, first))
        training = ShardFile(file, episodes[:-held_out])
        result.append(Shard(training, ShardFile(validation_path(file), episodes[-held_out:])))
        first += len(episodes)
    return result


def episode_lengths(transitions: int, longest: int) -> list[int]:
    """The fewest episodes of at most `longest` transitions, with lengths that differ by at most one, longer first."""
    return _shares(transitions, -(-transitions // longest))


def _shares(total: int, parts: int) -> list[int]:
    """An integer as a sum of integers that differ by at most one, larger ones first."""
    least, larger = divmod(total, parts)
    return [least + 1] * larger + [least] * (parts - larger)
