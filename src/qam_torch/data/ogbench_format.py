"""OGBench's file format: one npz of rows in time order, read with suspicion and written in one piece.

A trajectory of n transitions has n + 1 rows; `terminals` is True on its last row, whose action leads nowhere.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from qam_torch.data.npz import Header, open_archive
from qam_torch.system.files import atomic_path, flush_to_disk
from qam_torch.types import QamError

__all__ = [
    "OPTIONAL_KEYS",
    "REQUIRED_KEYS",
    "are_flags",
    "content_mark",
    "file_hash",
    "kept_rows",
    "read_npz",
    "write_npz_atomic",
]

REQUIRED_KEYS = ("observations", "actions", "terminals", "qpos", "qvel")
OPTIONAL_KEYS = ("button_states",)

Arrays = dict[str, np.ndarray]

_KINDS = {"terminals": "biuf", "button_states": "iu"}
_KIND_NAMES = {"f": "floating-point numbers", "iu": "integers", "biuf": "booleans"}


def kept_rows(terminals: np.ndarray) -> np.ndarray:
    """Rows of a raw file that start a transition: all but each trajectory's last; (rows,) bool -> (rows,) bool."""
    return ~terminals.astype(bool)


def read_npz(
    path: str | os.PathLike[str],
    observation_dim: int | None = None,
    action_dim: int | None = None,
    only: Collection[str] | None = None,
) -> Arrays:
    """Read one OGBench file and check everything that can be wrong with it. Nothing in it is ever unpickled.

    path             the file
    observation_dim  int or None   the environment's observation size, checked when given
    action_dim       int or None   the environment's action size, checked when given
    only             names of arrays   read no others; shapes and dtypes are checked of all
    ->  observations (rows, O) float32, actions (rows, A) float32, terminals (rows,) bool, qpos and qvel (rows, .)
        floating as in the file, button_states (rows, .) integer where the file has them

    Raises QamError for a file that is missing, damaged, incomplete, of wrong shapes, dtypes or sizes, not finite, or
    whose trajectories do not end.
    """
    with open_archive(path) as archive:
        missing = [key for key in REQUIRED_KEYS if key not in archive.names]
        if missing:
            raise QamError(f"data file {path} has no '{missing[0]}': an OGBench file has {', '.join(REQUIRED_KEYS)}")
        # Shapes and dtypes are agreed before a single number is unpacked.
        headers = archive.headers([*REQUIRED_KEYS, *(key for key in OPTIONAL_KEYS if key in archive.names)])
        _check_layout(archive.path, headers)
        _check_sizes(archive.path, headers, {"observations": observation_dim, "actions": action_dim})
        wanted = {key: header for key, header in headers.items() if only is None or key in only}
        arrays = archive.arrays(wanted)
    for key in arrays.keys() & {"observations", "actions"}:
        with np.errstate(all="ignore"):  # what float32 cannot hold becomes infinite, and is told of below
            arrays[key] = arrays[key].astype(np.float32, copy=False)
    _check_finite(archive.path, arrays)
    if "terminals" in arrays:
        arrays["terminals"] = _checked_terminals(archive.path, arrays["terminals"])
    return arrays


def _check_layout(path: Path, headers: Mapping[str, Header]) -> None:
    rows = headers["observations"].shape[0] if headers["observations"].shape else 0
    for key, (shape, dtype, descr, _) in headers.items():
        expected = 1 if key == "terminals" else 2
        if len(shape) != expected:
            raise QamError(f"data file {path}: '{key}' has shape {shape}, expected {expected} dimension(s)")
        if shape[0] != rows:
            raise QamError(
                f"data file {path}: '{key}' has {shape[0]} rows but 'observations' has {rows}: "
                "all arrays need one row per time step"
            )
        kinds = _KINDS.get(key, "f")
        if dtype is None or dtype.kind not in kinds:
            raise QamError(f"data file {path}: '{key}' has dtype {dtype or descr}, expected {_KIND_NAMES[kinds]}")
        if key in ("observations", "actions") and shape[1] == 0:
            raise QamError(f"data file {path}: '{key}' has no columns: fetch or generate it again")
    if rows == 0:
        raise QamError(f"data file {path} has no rows: fetch or generate it again")


def _check_sizes(path: Path, headers: Mapping[str, Header], dims: Mapping[str, int | None]) -> None:
    for key, dim in dims.items():
        if dim is not None and headers[key].shape[1] != dim:
            raise QamError(
                f"data file {path}: '{key}' has size {headers[key].shape[1]} but the environment's is {dim}: "
                "use the data set that belongs to this environment"
            )


def _check_finite(path: Path, arrays: Arrays) -> None:
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            finite = np.isfinite(array).reshape(array.shape[0], -1).all(axis=1)
            raise QamError(
                f"data file {path}: '{key}' has NaN or infinity, first in row {int(np.argmin(finite))}: "
                "mend or drop that trajectory"
            )


def are_flags(array: np.ndarray) -> np.ndarray:
    """Which entries are 0 or 1; any shape -> the same, bool.

    A damaged boolean's byte can be any; as numpy's bool it would be neither True nor False.
    """
    return np.isin(array.view(np.uint8) if array.dtype.kind == "b" else array, (0, 1))


def _checked_terminals(path: Path, terminals: np.ndarray) -> np.ndarray:
    if not are_flags(terminals).all():
        raise QamError(f"data file {path}: 'terminals' has values other than 0 and 1: use booleans")
    ends = np.flatnonzero(terminals)
    if len(ends) == 0:
        raise QamError(
            f"data file {path}: 'terminals' is nowhere True: set it to True on the last row of every trajectory"
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
    return terminals.astype(bool)


def file_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_mark(path: str | os.PathLike[str]) -> str:
    """What tells a large npz apart without reading it: a hash of its size and its end, which has all members' CRCs."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 4096))
        return hashlib.sha256(str(size).encode() + file.read()).hexdigest()


def write_npz_atomic(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write an OGBench file so that `path` is at every moment either absent, the old file, or the whole new one.

    path    where to; its directory is made if needed
    arrays  name -> array; saved as float32, but terminals as bool and button_states as int64 (OGBench's dtypes)

    The same arrays give the same bytes. Raises QamError when the directory cannot be written or the disk is full.
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
