"""Keep episodes on disk while a dataset is generated, so that an interrupted run continues where it stopped.

Worker processes import this module, so it does not import torch.
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
"""Picklable function (seed, index, rows) -> arrays with `rows` rows each. `terminals` is True only in the last row."""

_DIGEST_SIZE = hashlib.sha256().digest_size


class EpisodeNotWritten(Exception):
    """An episode could not be written.

    The message is the reason that the operating system gives. The parent process raises a QamError from it.
    """


@dataclass(frozen=True)
class EpisodeFiles:
    """The episodes of one recipe and seed. Complete episodes are read from disk. Other episodes are made and saved.

    A file contains a SHA-256 hash followed by an npz archive with this hash. The file is renamed into place but not
    flushed to the disk, because flushing takes as long as a short episode. A file damaged by a power failure does not
    match its hash, and the episode is made again.

    Attributes:
        directory: directory with one file per episode. It is used for only one recipe, seed and set of versions.
        recipe: function that makes an episode from only (seed, index, rows).
        seed: integer >= 0.
    """

    directory: Path
    recipe: Recipe
    seed: int

    def episode(self, index: int, rows: int) -> Episode:
        """Return episode `index` with `rows` rows. Raise EpisodeNotWritten if a new episode cannot be saved."""
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
    """Return the episode in a file, or None if the file does not exist or is damaged."""
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
    np.savez(archive, **episode)  # type: ignore[arg-type]  # mypy takes **episode for keyword options of numpy
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path, shared=True) as temporary:
        temporary.write_bytes(hashlib.sha256(archive.getvalue()).digest() + archive.getvalue())
