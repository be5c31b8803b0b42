"""Find the files of a dataset, official or generated, compute their checksums, and obtain missing files."""

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
        path: path of the training file, or of the directory of a sharded dataset.
        origin: "official" if the file has OGBench's name, "generated" if `qam_torch` generated it.
        sha256: checksum, see `dataset_checksum`.
    """

    path: Path
    origin: Literal["official", "generated"]
    sha256: str


def dataset_path(name: str, directory: str | os.PathLike[str] = DEFAULT_DIRECTORY) -> Path:
    """Return the path of a dataset's official training file, or of the directory of a sharded dataset. Expands ~."""
    return Path(directory).expanduser() / f"{name}{_suffix(catalog_entry(name))}"


def generated_path(name: str, directory: str | os.PathLike[str], transitions: int, seed: int) -> Path:
    """Return the path of a generated dataset. The name contains the number of transitions and the seed."""
    return Path(directory).expanduser() / f"{name}.generated-{transitions}-seed{seed}{_suffix(catalog_entry(name))}"


def generated_files(entry: CatalogEntry, directory: str | os.PathLike[str]) -> list[tuple[Path, int, int]]:
    """List (path, transitions, seed) of each complete generated dataset in a directory, the largest first."""
    pattern = re.compile(re.escape(entry.name) + r"\.generated-(\d+)-seed(\d+)" + re.escape(_suffix(entry)))
    matches = ((path, pattern.fullmatch(path.name)) for path in Path(directory).expanduser().glob(f"{entry.name}.*"))
    named = [(path, int(match[1]), int(match[2])) for path, match in matches if match]
    found = [one for one in named if is_made(entry, *one[:2])]
    return sorted(found, key=lambda one: (-one[1], one[2]))


def training_files(entry: CatalogEntry, path: Path) -> list[Path]:
    """List the paths of the training files of a dataset at `path` in order, whether or not the files exist."""
    return [path] if entry.shards == 1 else [path / Path(file).name for file in entry.files[: entry.shards]]


def is_made(entry: CatalogEntry, path: Path, transitions: int) -> bool:
    """Return whether all files of a generated dataset exist, given its number of transitions."""
    needed = max(1, -(-transitions // (entry.episodes * entry.steps)))
    files = training_files(entry, path)[:needed]
    return all(file.is_file() and validation_path(file).is_file() for file in files)


def shard_files(directory: Path) -> list[Path]:
    """List the training files in a directory by name, without hidden files. Raise QamError if there are none."""
    files = sorted(file for file in directory.glob("[!.]*.npz") if not file.stem.endswith("-val"))
    if not files:
        raise QamError(f"directory {directory} has no .npz files to train on: give the directory of the dataset")
    return files


def dataset_checksum(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a training file or of a directory of shards.

    For a directory, it is the hash of the names and `content_mark`s of the training files, so that the large files of a
    sharded dataset are not read in full.
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
    """Find the files of a dataset, or obtain missing files.

    Official files are preferred to generated files. Missing point maze data are generated, which takes a minute, and
    never downloaded. Other missing data are downloaded if `download` is true.

    Args:
        name: OGBench's name of the dataset, e.g. "pointmaze-medium-navigate-v0".
        directory: data directory.
        transitions: number of transitions of the generated dataset.
        seed: seed of the generated dataset.
        workers: number of processes for generating, see `generate`.
        progress: called while generating, see `generate`.
        download: whether missing training files may be downloaded.
        mirrors: base URLs for downloading, see `mirror_urls`.
        fetching: called while downloading with (file, bytes received, total bytes or None).

    Returns:
        Path, origin and checksum of the dataset.

    Raises:
        QamError: the dataset is missing and cannot be obtained. The message explains how to download or generate it.
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
    """Explain how to obtain a dataset manually."""
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
