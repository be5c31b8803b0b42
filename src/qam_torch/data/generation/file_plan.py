"""Plan the files of a generated dataset, and the episodes in each file."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from qam_torch.data.catalog import CatalogEntry
from qam_torch.data.ogbench_format import validation_path
from qam_torch.types import QamError

__all__ = ["Shard", "ShardFile", "episode_lengths", "plan_shards"]


class ShardFile(NamedTuple):
    """A file and the (index, rows) of each of its episodes, in order."""

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
        entry: the dataset. For a sharded dataset, the number of shards is the smallest possible, and the numbers of
            transitions in the shards differ by at most one.
        path: path of the training file, or of the directory of the shards.
        transitions: number of training transitions in all files. Each validation file has a tenth as many episodes as
            its training file, rounded down, and at least one.

    Returns:
        The shards. Episode indices continue across shards.

    Raises:
        QamError: there are more transitions than in the published dataset, or `path` is a file instead of a directory
            or a directory instead of a file.
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
    """Split transitions into the smallest number of episodes with at most `longest` transitions each.

    The lengths differ by at most one. Longer episodes come first.
    """
    return _shares(transitions, -(-transitions // longest))


def _shares(total: int, parts: int) -> list[int]:
    """Split an integer into `parts` integers that differ by at most one, larger integers first."""
    least, larger = divmod(total, parts)
    return [least + 1] * larger + [least] * (parts - larger)
