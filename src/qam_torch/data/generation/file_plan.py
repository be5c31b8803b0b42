"""Which files a generated dataset has, and which episodes are in each of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from qam_torch.data.catalog import CatalogEntry
from qam_torch.data.ogbench_format import validation_path
from qam_torch.types import QamError

__all__ = ["Shard", "ShardFile", "episode_lengths", "shards"]


class ShardFile(NamedTuple):
    """A file and the episodes in it, in their order: (index, rows) of each."""

    path: Path
    episodes: list[tuple[int, int]]


class Shard(NamedTuple):
    """A training file and its validation file."""

    training: ShardFile
    validation: ShardFile

    @property
    def episodes(self) -> list[tuple[int, int]]:
        """Of both files."""
        return self.training.episodes + self.validation.episodes


def shards(entry: CatalogEntry, path: Path, transitions: int) -> list[Shard]:
    """Spread transitions over the files of a dataset.

    entry        the dataset; one with several shards gets as few of them as hold all transitions, equally full
    path         training file, or the shards' directory
    transitions  training transitions in all; validation files have a tenth as many episodes, at least one
    ->           shards, whose episodes are numbered through all of them

    Raises QamError for more transitions than the published shards hold, or a path that is of the other kind.
    """
    paths = [path]
    if entry.shards > 1:
        if transitions > entry.transitions:
            raise QamError(
                f"transitions={transitions} is out of range: '{entry.name}' has {entry.transitions}, give at most these"
            )
        count = -(-transitions // (entry.episodes * entry.steps))
        paths = [path / Path(file).name for file in entry.files[:count]]
    if path.exists() and path.is_dir() != (entry.shards > 1):
        needed, found = ("a file", "a directory") if entry.shards == 1 else ("a directory", "a file")
        raise QamError(f"cannot write dataset {path}: '{entry.name}' needs {needed}, this is {found}: name another")
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
    """As few episodes of at most `longest` transitions as hold them all, of equal lengths to one step, longer first."""
    return _shares(transitions, -(-transitions // longest))


def _shares(total: int, parts: int) -> list[int]:
    """A whole number as a sum of whole numbers that differ by one at most, larger ones first."""
    least, larger = divmod(total, parts)
    return [least + 1] * larger + [least] * (parts - larger)
