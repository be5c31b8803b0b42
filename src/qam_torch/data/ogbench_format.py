"""Read, check and write OGBench's file format: an npz with one row per time step.

A trajectory of n transitions has n + 1 rows. `terminals` is True on its last row. The action of this row is not
executed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from qam_torch.data.array_checks import FLAGS, FLOATS, INTEGERS, ArraySpec, Layout, read_arrays
from qam_torch.system.files import atomic_path, flush_to_disk
from qam_torch.types import QamError

__all__ = [
    "OGBENCH_LAYOUT",
    "content_mark",
    "file_hash",
    "kept_rows",
    "read_npz",
    "validation_path",
    "write_npz_atomic",
]

OGBENCH_LAYOUT: Layout = {
    "observations": ArraySpec("NO", FLOATS, dtype=np.float32),
    "actions": ArraySpec("NA", FLOATS, dtype=np.float32),
    "terminals": ArraySpec("N", FLAGS),
    "qpos": ArraySpec("NP", FLOATS),
    "qvel": ArraySpec("NV", FLOATS),
    "button_states": ArraySpec("NB", INTEGERS, required=False),
}
"""The arrays of a file, with P positions, V velocities and B buttons."""


def validation_path(path: str | os.PathLike[str]) -> Path:
    """OGBench's name of the validation file that belongs to a training file: x.npz -> x-val.npz."""
    path = Path(path)
    return path.with_name(f"{path.stem}-val.npz")


def kept_rows(terminals: np.ndarray) -> np.ndarray:
    """Mask (rows,) of the rows that start a transition: all except the last row of each trajectory."""
    return ~terminals.astype(bool)


def read_npz(
    path: str | os.PathLike[str],
    observation_dim: int | None = None,
    action_dim: int | None = None,
    only: Collection[str] | None = None,
) -> dict[str, np.ndarray]:
    """Read one OGBench file and check its content. Python objects are never unpickled.

    Args:
        path: path of the file.
        observation_dim: size of the environment's observations, which the file must match; None for any.
        action_dim: size of the environment's actions, which the file must match; None for any.
        only: names of the arrays to read; None for all. Shapes and dtypes of all arrays are checked.

    Returns:
        observations (rows, O) float32, actions (rows, A) float32, terminals (rows,) bool, qpos and qvel (rows, ...)
        floating-point as in the file, and button_states (rows, B) integer if the file has them.

    Raises:
        QamError: the file is missing, damaged or incomplete; shapes, dtypes or sizes are wrong; numbers are not finite;
            or the last trajectory does not end.
    """
    environment = {"O": observation_dim, "A": action_dim}
    arrays = read_arrays(path, OGBENCH_LAYOUT, only, environment)
    if "terminals" in arrays:
        _check_ends(path, arrays["terminals"])
    return arrays


def _check_ends(path: str | os.PathLike[str], terminals: np.ndarray) -> None:
    ends = np.flatnonzero(terminals)
    if len(ends) == 0:
        raise QamError(
            f"data file {path}: 'terminals' is never True: set it to True on the last row of every trajectory"
        )
    if ends[-1] != len(terminals) - 1:
        raise QamError(
            f"data file {path}: the last row ({len(terminals) - 1}) is not terminal, so its trajectory does not end: "
            f"set terminals[-1] to True, or drop the rows after {int(ends[-1])}"
        )
    if len(ends) == len(terminals):
        raise QamError(
            f"data file {path}: 'terminals' is True on every row, so there is no transition: "
            "set it to True on the last row of every trajectory only"
        )


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_mark(path: str | os.PathLike[str]) -> str:
    """Identify a large npz without reading it: a hash of its size and its end, which has the CRCs of all arrays."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4096))
        return hashlib.sha256(str(size).encode() + file.read()).hexdigest()


def write_npz_atomic(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write an OGBench file atomically: an incomplete file is never at `path`.

    The same arrays give the same bytes.

    Args:
        path: path of the file; its directory is created if needed.
        arrays: name -> array; saved as float32, except terminals as bool and button_states as int64 (OGBench's dtypes).

    Raises:
        QamError: the directory cannot be written to or the disk is full.
    """
    path = Path(path)
    dtypes = {"terminals": np.dtype(bool), "button_states": np.dtype(np.int64)}
    typed = {key: np.asarray(array).astype(dtypes.get(key, np.float32), copy=False) for key, array in arrays.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path, shared=True) as temporary, open(temporary, "wb") as file:
            # mypy reads **typed as numpy's own keyword options
            np.savez_compressed(file, **typed)  # type: ignore[arg-type]
            flush_to_disk(file)
    except OSError as error:
        raise QamError(
            f"cannot write data file {path} ({error.strerror or error}): free some space or choose another directory"
        ) from error
