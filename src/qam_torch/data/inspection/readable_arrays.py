"""Read the arrays of an npz file that are readable, and describe the problems of all others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qam_torch.data.npz import open_npz
from qam_torch.data.ogbench_format import OGBENCH_LAYOUT
from qam_torch.types import QamError

__all__ = ["readable_arrays"]


def readable_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read every array that is readable. Python objects are never unpickled.

    Args:
        path: path of the file.

    Returns:
        A dictionary from names to arrays of any shape, with OGBench's arrays first. A second dictionary from names of
        unreadable arrays to their problems. The name "" means the whole file.
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
