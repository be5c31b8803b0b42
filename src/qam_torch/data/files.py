"""OGBench's file format: one npz of rows in time order, read with suspicion and written in one piece.

A trajectory of n transitions has n + 1 rows; `terminals` is True on its last row, whose action leads nowhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from qam_torch.types import QamError

__all__ = ["OPTIONAL_KEYS", "REQUIRED_KEYS", "file_hash", "kept_rows", "read_npz", "write_npz_atomic"]

REQUIRED_KEYS = ("observations", "actions", "terminals", "qpos", "qvel")
OPTIONAL_KEYS = ("button_states",)

Arrays = dict[str, np.ndarray]

# What numpy and zipfile raise on damaged or hostile members; anything else is a bug and may surface as one.
_UNREADABLE = (
    ValueError,
    KeyError,
    OSError,
    EOFError,
    RuntimeError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


def kept_rows(terminals: np.ndarray) -> np.ndarray:
    """Rows of a raw file that start a transition: all but each trajectory's last; (rows,) bool -> (rows,) bool."""
    return ~terminals.astype(bool)


def read_npz(path: str | os.PathLike[str], observation_dim: int | None = None, action_dim: int | None = None) -> Arrays:
    """Read one OGBench file and check everything that can be wrong with it. Nothing in it is ever unpickled.

    path             the file
    observation_dim  int or None   the environment's observation size, checked when given
    action_dim       int or None   the environment's action size, checked when given
    ->  observations (rows, O) float32, actions (rows, A) float32, terminals (rows,) bool, qpos and qvel (rows, .)
        floating as in the file, button_states (rows, .) integer where the file has them

    Raises QamError for a file that is missing, damaged, incomplete, of wrong shapes, dtypes or sizes, not finite, or
    whose trajectories do not end.
    """
    path = Path(path)
    arrays = _load(path)
    _check_layout(path, arrays)
    _check_sizes(path, arrays, {"observations": observation_dim, "actions": action_dim})
    _check_finite(path, arrays)
    arrays["terminals"] = _checked_terminals(path, arrays["terminals"])
    for key in ("observations", "actions"):
        arrays[key] = arrays[key].astype(np.float32, copy=False)
    return arrays


def _load(path: Path) -> Arrays:
    if not path.exists():
        raise QamError(f"data file {path} does not exist: check the path, or put the file there")
    if not os.access(path, os.R_OK):
        raise QamError(f"data file {path} may not be read: give yourself the permission")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise QamError(f"data file {path} is truncated or not an npz file: fetch or generate it again")
    arrays: Arrays = {}
    key = ""
    try:
        with np.load(path, allow_pickle=False) as file:
            for key in (*REQUIRED_KEYS, *(name for name in OPTIONAL_KEYS if name in file.files)):
                if key not in file.files:
                    raise QamError(f"data file {path} has no '{key}': an OGBench file has {', '.join(REQUIRED_KEYS)}")
                arrays[key] = file[key]
    except QamError:
        raise
    except _UNREADABLE as error:
        if "Object arrays cannot be loaded" in str(error):
            raise QamError(
                f"data file {path}: '{key}' holds Python objects, which are never loaded: save plain numbers"
            ) from None
        raise QamError(
            f"data file {path} is truncated or damaged (reading '{key or 'its index'}' failed): "
            "fetch or generate it again"
        ) from error
    return arrays


def _check_layout(path: Path, arrays: Arrays) -> None:
    rows = arrays["observations"].shape[0] if arrays["observations"].ndim else 0
    for key, array in arrays.items():
        expected = 1 if key == "terminals" else 2
        if array.ndim != expected:
            raise QamError(f"data file {path}: '{key}' has shape {array.shape}, expected {expected} dimension(s)")
        if array.shape[0] != rows:
            raise QamError(
                f"data file {path}: '{key}' has {array.shape[0]} rows but 'observations' has {rows}: "
                "all arrays need one row per time step"
            )
        wanted = {"terminals": "biuf", "button_states": "iu"}.get(key, "f")
        if array.dtype.kind not in wanted:
            names = {"f": "floating-point numbers", "iu": "integers", "biuf": "booleans"}[wanted]
            raise QamError(f"data file {path}: '{key}' has dtype {array.dtype}, expected {names}")
    if rows == 0:
        raise QamError(f"data file {path} has no rows: fetch or generate it again")


def _check_sizes(path: Path, arrays: Arrays, dims: Mapping[str, int | None]) -> None:
    for key, dim in dims.items():
        if dim is not None and arrays[key].shape[1] != dim:
            raise QamError(
                f"data file {path}: '{key}' has size {arrays[key].shape[1]} but the environment's is {dim}: "
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


def _checked_terminals(path: Path, terminals: np.ndarray) -> np.ndarray:
    if terminals.dtype.kind != "b" and not np.isin(terminals, (0, 1)).all():
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


def write_npz_atomic(path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray]) -> None:
    """Write an OGBench file so that `path` is at every moment either absent, the old file, or the whole new one.

    path    where to; its directory is made if needed
    arrays  name -> array; saved as float32, but terminals as bool and button_states as int64 (OGBench's dtypes)

    The same arrays give the same bytes. Raises QamError when the directory cannot be written or the disk is full.
    """
    path = Path(path)
    dtypes = {"terminals": np.dtype(bool), "button_states": np.dtype(np.int64)}
    typed = {key: np.asarray(array).astype(dtypes.get(key, np.float32), copy=False) for key, array in arrays.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            # mypy reads **typed as numpy's own keyword options
            np.savez_compressed(file, **typed)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise QamError(
            f"cannot write data file {path} ({error.strerror or error}): free some space or choose another directory"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
