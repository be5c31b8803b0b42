"""Find the data files that a command-line argument names: a file, a directory of shards, or a dataset."""

from __future__ import annotations

import os
import re
from pathlib import Path

from qam_torch.types import QamError

__all__ = ["data_set_name", "files_of", "training_files_of"]

_NAME = re.compile(r"[a-z][a-z0-9-]*?-v\d+(?=[.-]|$)")


def files_of(given: str, directory: str | os.PathLike[str]) -> list[Path]:
    """Find the training and validation files that an argument names.

    Args:
        given: path of a file, path of a directory of shards, or name of a dataset. A name selects the official files
            and all generated files.
        directory: directory in which datasets are searched by name.

    Raises:
        QamError: there are no such files.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return [path]
    roots = [path] if path.exists() else _roots(given, directory)
    files = [file for root in roots for file in _at(root)]
    if not files:
        raise QamError(f"'{given}' has no .npz files: give a file, a directory of shards, or a dataset name")
    return files


def training_files_of(given: str, directory: str | os.PathLike[str]) -> list[Path]:
    """Find the training files of one dataset.

    Args:
        given: path of a file, path of a directory of shards, or name of a dataset. A name selects the official files,
            or the largest generated dataset if there are none. A path may also be that of a validation file.
        directory: directory in which datasets are searched by name.

    Raises:
        QamError: there are no such files.
    """
    path = Path(given).expanduser()
    if path.is_file():
        return [path]
    root = path if path.exists() else _roots(given, directory)[0]
    files = [file for file in _at(root) if not file.stem.endswith("-val")]
    if not files:
        raise QamError(f"directory '{root}' has no training files (.npz): give a file, or download the dataset again")
    return files


def data_set_name(path: Path) -> str | None:
    """Infer the dataset of a file from the names of the file and its directory. Return None if the name is unclear.

    Examples: "x/scene-play-v0-val.npz" -> "scene-play-v0"; "puzzle-4x4-play-100m-v0/puzzle-4x4-play-v0-007.npz" ->
    "puzzle-4x4-play-100m-v0"; "pointmaze-medium-navigate-v0.generated-2000-seed0.npz" -> "pointmaze-medium-navigate-v0"
    """
    match, place = _NAME.match(path.name), _NAME.match(path.resolve().parent.name)
    if match is None:
        return None
    name, _, version = match[0].rpartition("-")
    if place is not None and re.fullmatch(rf"{name}-\d+[kmb]-{version}", place[0]):
        return place[0]
    return match[0]


def _roots(name: str, directory: str | os.PathLike[str]) -> list[Path]:
    """Return the paths of a dataset: first the official one, then generated ones, with the largest first."""
    from qam_torch.data.catalog import catalog_entry
    from qam_torch.data.dataset_files import dataset_path, generated_files

    if name.endswith(".npz") or os.sep in name:
        raise QamError(f"'{name}' does not exist: check the path")
    roots = [dataset_path(name, directory), *(path for path, _, _ in generated_files(catalog_entry(name), directory))]
    if found := [root for root in roots if root.exists()]:
        return found
    raise QamError(
        f"dataset '{name}' is not in {Path(directory).expanduser()}: run `qam-data get {name}` or `qam-data generate "
        f"{name}`, or give its directory with --directory"
    )


def _at(root: Path) -> list[Path]:
    """Return a file and its validation file, if it exists, or all data files of a directory."""
    from qam_torch.data.ogbench_format import validation_path

    if root.is_dir():
        return sorted(root.glob("[!.]*.npz"))
    return [file for file in (root, validation_path(root)) if file.exists()]
