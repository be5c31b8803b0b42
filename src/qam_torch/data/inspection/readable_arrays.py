"""The arrays of an npz file that can still be read, and what is wrong with the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qam_torch.data.npz import open_npz
from qam_torch.data.ogbench_format import OGBENCH_LAYOUT
from qam_torch.types import QamError

__all__ = ["readable_arrays"]


def readable_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read every array that can be read. No Python object is ever unpickled.

    Args:
        path: path of the file.

    Returns:
        Name -> array, OGBench's first, whatever their shapes are; and name -> what is wrong with it, where "" is the
        file as a whole.
    """
    arrays: dict[str, np.ndarray] = {}
    damage: dict[str, str] = {}
    try:
        with open_npz(path) as file:
            for name in dict.fromkeys([*OGBENCH_LAYOUT, *sorted(file.names)]):
                if name not in file.names:
                    continue
                try:
                    arrays |= file.arrays([name])
                except QamError as error:
                    damage[name] = _without_path(error, path)
    except QamError as error:
        damage[""] = _without_path(error, path)
    return arrays, damage


def _without_path(error: QamError, path: Path) -> str:
    return str(error).removeprefix(f"data file {path}").lstrip(": ")
