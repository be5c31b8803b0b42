"""Episodes kept on disk while a dataset is made, so that an interrupted run continues where it stopped.

Imported in worker processes: no torch.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qam_torch.system.files import atomic_path

__all__ = ["Episode", "EpisodeFiles", "EpisodeNotWritten", "Recipe"]

Episode = dict[str, np.ndarray]
Recipe = Callable[[int, int, int], Episode]
"""(seed, index, rows) -> arrays with `rows` rows each, `terminals` True on the last; picklable."""

_DIGEST_SIZE = hashlib.sha256().digest_size


class EpisodeNotWritten(Exception):
    """The operating system's reason why an episode could not be written; the parent raises a QamError from it."""


@dataclass(frozen=True)
class EpisodeFiles:
    """The episodes of one recipe and seed: read from disk if they are complete, otherwise made and kept there.

    A file is the SHA-256 of its content, then an npz. It is renamed into place but not flushed to the disk, which would
    take as long as a short episode: a file damaged by a power failure does not match its hash, and is made again.

    Attributes:
        directory: holds one file per episode, of one recipe, seed and set of versions only.
        recipe: makes an episode from (seed, index, rows) alone.
        seed: int >= 0.
    """

    directory: Path
    recipe: Recipe
    seed: int

    def episode(self, index: int, rows: int) -> Episode:
        """Episode `index` with `rows` rows; raises EpisodeNotWritten when it is new and the disk does not take it."""
        path = self.directory / f"{index}.episode"
        known = _read(path)
        if known is not None:
            return known
        episode = self.recipe(self.seed, index, rows)
        try:
            _write(path, episode)
        except OSError as error:
            raise EpisodeNotWritten(error.strerror or str(error)) from error
        return episode


def _read(path: Path) -> Episode | None:
    """The episode in a file, or None if there is no such file or any of its bytes is wrong."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, archive = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
    if hashlib.sha256(archive).digest() != digest:
        return None
    with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
        return dict(arrays)


def _write(path: Path, episode: Episode) -> None:
    archive = io.BytesIO()
    np.savez(archive, **episode)  # type: ignore[arg-type]  # mypy reads **episode as numpy's own keyword options
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, shared=True) as temporary:
        temporary.write_bytes(hashlib.sha256(archive.getvalue()).digest() + archive.getvalue())
