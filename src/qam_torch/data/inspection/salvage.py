"""What can still be read of an npz file, and what cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qam_torch.data.npz import open_archive
from qam_torch.data.ogbench_format import OPTIONAL_KEYS, REQUIRED_KEYS
from qam_torch.types import QamError

__all__ = ["salvage_arrays"]


def salvage_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read every array that can be read, and tell what is wrong with the others. Nothing is ever unpickled.

    path  the file
    ->    name -> array, OGBench's first, whatever their shapes are; name -> what is wrong with it, where "" is the
          file as a whole
    """
    arrays: dict[str, np.ndarray] = {}
    damage: dict[str, str] = {}
    try:
        with open_archive(path) as archive:
            usual = [key for key in (*REQUIRED_KEYS, *OPTIONAL_KEYS) if key in archive.names]
            for key in [*usual, *sorted(archive.names.difference(usual))]:
                try:
                    arrays |= archive.arrays(archive.headers([key]))
                except QamError as error:
                    damage[key] = _told(error, path)
    except QamError as error:
        damage[""] = _told(error, path)
    return arrays, damage


def _told(error: QamError, path: Path) -> str:
    """The sentence without the path, which the reader of a file's findings knows."""
    return str(error).removeprefix(f"data file {path}").lstrip(": ")
