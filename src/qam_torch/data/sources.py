"""Where a data set's file is: the official one where it was put, else one made here and kept beside it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal, NamedTuple

from qam_torch.data.catalogue import DATASET_URL
from qam_torch.data.files import file_hash
from qam_torch.data.generate import Progress, generate_pointmaze, validation_path
from qam_torch.data.pointmaze import MAZES
from qam_torch.types import QamError

__all__ = ["DEFAULT_DIRECTORY", "DatasetInfo", "dataset_path", "ensure_dataset", "generated_path"]

DEFAULT_DIRECTORY = "~/.ogbench/data"

_GENERATED = re.compile(rf"pointmaze-(?P<maze>{'|'.join(MAZES)})-navigate-v0")


class DatasetInfo(NamedTuple):
    """A data set on disk.

    path    its training file
    origin  "official" (a file under OGBench's own name) or "generated" (made here)
    sha256  hash of the file's bytes
    """

    path: Path
    origin: Literal["official", "generated"]
    sha256: str


def dataset_path(name: str, directory: str | os.PathLike[str] = DEFAULT_DIRECTORY) -> Path:
    """Where the official file of data set `name` ("pointmaze-medium-navigate-v0") belongs; ~ is expanded."""
    return Path(directory).expanduser() / f"{name}.npz"


def generated_path(name: str, directory: str | os.PathLike[str], transitions: int, seed: int) -> Path:
    """Where a generated file is kept; its name says what it is."""
    return dataset_path(f"{name}.generated-{transitions}-seed{seed}", directory)


def ensure_dataset(
    name: str,
    directory: str | os.PathLike[str] = DEFAULT_DIRECTORY,
    transitions: int = 200_000,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DatasetInfo:
    """Find the data set's file, or make it where that is possible.

    name          OGBench's name of the data set, e.g. "pointmaze-medium-navigate-v0"
    directory     where files live
    transitions, seed, workers, progress   for a generated set, see `generate.generate_pointmaze`

    An official file in the directory is always preferred. Raises QamError when there is none and it cannot be made.
    """
    official = dataset_path(name, directory)
    if official.is_file():
        return DatasetInfo(official, "official", file_hash(official))
    match = _GENERATED.fullmatch(name)
    if match is None:
        raise QamError(
            f"data set '{name}' is not in {official.parent}: fetch {DATASET_URL}/{name}.npz and put it there, "
            "or name the directory that has it"
        )
    path = generated_path(name, directory, transitions, seed)
    if not (path.is_file() and validation_path(path).is_file()):
        generate_pointmaze(path, match["maze"], transitions, seed, workers, progress)
    return DatasetInfo(path, "generated", file_hash(path))
