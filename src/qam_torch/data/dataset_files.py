"""The files of a dataset: official and generated names, checksums, and how missing files are obtained."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from qam_torch.data.catalog import DATASET_URL, CatalogEntry, catalog_entry
from qam_torch.data.checksums import checksum, record_checksum
from qam_torch.data.fetching.download import FileProgress, fetch_dataset
from qam_torch.data.generation.generate import Progress, generate
from qam_torch.data.ogbench_format import content_mark, validation_path
from qam_torch.types import QamError

__all__ = [
    "DEFAULT_DIRECTORY",
    "DatasetInfo",
    "dataset_checksum",
    "dataset_path",
    "ensure_dataset",
    "generated_files",
    "generated_path",
    "is_made",
    "shard_files",
    "training_files",
]

DEFAULT_DIRECTORY = "~/.ogbench/data"


class DatasetInfo(NamedTuple):
    """A dataset on disk.

    Attributes:
        path: its training file, or the directory of a sharded dataset.
        origin: "official" (under OGBench's own name) or "generated" (made here).
        sha256: see `dataset_checksum`.
    """

    path: Path
    origin: Literal["official", "generated"]
    sha256: str


def dataset_path(name: str, directory: str | os.PathLike[str] = DEFAULT_DIRECTORY) -> Path:
    """Path of a dataset's official training file, or of the directory of a sharded dataset; ~ is expanded."""
    return Path(directory).expanduser() / f"{name}{_suffix(catalog_entry(name))}"


def generated_path(name: str, directory: str | os.PathLike[str], transitions: int, seed: int) -> Path:
    """Path of a generated dataset, whose name contains the number of transitions and the seed."""
    return Path(directory).expanduser() / f"{name}.generated-{transitions}-seed{seed}{_suffix(catalog_entry(name))}"


def generated_files(entry: CatalogEntry, directory: str | os.PathLike[str]) -> list[tuple[Path, int, int]]:
    """The complete generated datasets in a directory: (path, transitions, seed) of each, the largest first."""
    pattern = re.compile(re.escape(entry.name) + r"\.generated-(\d+)-seed(\d+)" + re.escape(_suffix(entry)))
    matches = ((path, pattern.fullmatch(path.name)) for path in Path(directory).expanduser().glob(f"{entry.name}.*"))
    named = [(path, int(match[1]), int(match[2])) for path, match in matches if match]
    found = [one for one in named if is_made(entry, *one[:2])]
    return sorted(found, key=lambda one: (-one[1], one[2]))


def training_files(entry: CatalogEntry, path: Path) -> list[Path]:
    """The training files of a dataset at `path`, existing or not, in order."""
    return [path] if entry.shards == 1 else [path / Path(file).name for file in entry.files[: entry.shards]]


def is_made(entry: CatalogEntry, path: Path, transitions: int) -> bool:
    """Whether all files of a generated dataset with this number of transitions exist."""
    needed = max(1, -(-transitions // (entry.episodes * entry.steps)))
    files = training_files(entry, path)[:needed]
    return all(file.is_file() and validation_path(file).is_file() for file in files)


def shard_files(directory: Path) -> list[Path]:
    """The training files in a directory, sorted by name, without hidden ones; raises QamError when there are none."""
    files = sorted(file for file in directory.glob("[!.]*.npz") if not file.stem.endswith("-val"))
    if not files:
        raise QamError(f"directory {directory} has no .npz files to train on: give the directory of the dataset")
    return files


def dataset_checksum(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a training file; of a directory, the hash of its training files' names and `content_mark`s.

    The large files of a sharded dataset are not read in full.
    """
    path = Path(path)
    if not path.is_dir():
        return checksum(path)
    lines = (f"{shard.name} {content_mark(shard)}\n" for shard in shard_files(path))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def ensure_dataset(
    name: str,
    directory: str | os.PathLike[str] = DEFAULT_DIRECTORY,
    transitions: int = 200_000,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
    download: bool = False,
    mirrors: Sequence[str] | None = None,
    fetching: FileProgress | None = None,
) -> DatasetInfo:
    """Find the files of a dataset; generate them for point mazes, otherwise download them if that is allowed.

    Official files are preferred to generated ones. Point maze data are never downloaded: generating takes a minute.

    Args:
        name: OGBench's name of the dataset, e.g. "pointmaze-medium-navigate-v0".
        directory: data directory.
        transitions: number of transitions of the generated dataset.
        seed: seed of the generated dataset.
        workers: number of processes for generating, see `generate`.
        progress: called while generating, see `generate`.
        download: whether missing training files may be downloaded.
        mirrors: base URLs for downloading, see `mirror_urls`.
        fetching: called while downloading with (file, bytes there, bytes in all or None).

    Returns:
        Where the dataset is.

    Raises:
        QamError: there is no dataset to train on; the message contains what to fetch by hand or to generate.
    """
    entry = catalog_entry(name)
    official, made = dataset_path(name, directory), generated_path(name, directory, transitions, seed)
    if all(file.is_file() for file in training_files(entry, official)):
        return DatasetInfo(official, "official", dataset_checksum(official))
    if is_made(entry, made, transitions):
        return DatasetInfo(made, "generated", dataset_checksum(made))
    if entry.family == "pointmaze":
        generate(name, made, transitions, seed, workers, progress, keep=True)
        return DatasetInfo(made, "generated", record_checksum(made))
    if not (download and entry.published):
        raise QamError(f"dataset '{name}' is not in {official.parent}: {_advice(entry, made, transitions, seed)}")
    try:
        fetch_dataset(entry, directory, mirrors, fetching, validation=False)
    except QamError as error:
        advice = f", or {_how_to_make(entry, made, transitions, seed)}" if entry.generated_by_oracle else ""
        raise QamError(f"{error}{advice}") from error
    return DatasetInfo(official, "official", dataset_checksum(official))


def _advice(entry: CatalogEntry, made: Path, transitions: int, seed: int) -> str:
    """How to obtain a dataset by hand."""
    ways = []
    if entry.published:
        more = f"the files that follow it, and put them into {entry.name}/"
        ways.append(f"fetch {DATASET_URL}/{entry.files[0]} and {'put it' if entry.shards == 1 else more} there")
    if entry.generated_by_oracle:
        ways.append(_how_to_make(entry, made, transitions, seed))
    return ", or ".join(ways)


def _how_to_make(entry: CatalogEntry, made: Path, transitions: int, seed: int) -> str:
    command = ["qam-data", "generate", entry.name, "--transitions", str(transitions), "--output", str(made)]
    if seed:
        command += ["--seed", str(seed)]
    return f"generate one with `{shlex.join(command)}` and train with {shlex.quote(f'data.path={made}')}"


def _suffix(entry: CatalogEntry) -> str:
    return ".npz" if entry.shards == 1 else ""
