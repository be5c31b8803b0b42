"""A user's own npz: one row per transition, in time order.

observations       (N, O)  state acted in
actions            (N, A)  in the environment's own units
rewards            (N,)    of the step
terminals          (N,)    true where the step ended the task for good: nothing is to be gained afterwards
timeouts           (N,)    true where the episode was cut there, by a time limit say; optional, also as `truncations`
next_observations  (N, O)  state after the step; optional
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch

from qam_torch.data.action_scaling import unit_actions
from qam_torch.data.npz import Archive, Header, open_archive
from qam_torch.data.transitions import Transitions
from qam_torch.types import QamError

__all__ = ["own_transitions"]

Arrays = dict[str, np.ndarray]

_REQUIRED = ("observations", "actions", "rewards", "terminals")
_CUTS = ("timeouts", "truncations")
_FLAGS = ("terminals", *_CUTS)
_OPTIONAL = (*_CUTS, "next_observations")


def own_transitions(
    path: str | os.PathLike[str],
    low: np.ndarray,
    high: np.ndarray,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Transitions:
    """Read a user's file, check it, and put it on the device. Nothing in it is ever unpickled.

    path       the file; other arrays than the module's are left alone
    low, high  (A,)  bounds of the environment's actions, which are scaled to [-1, 1]
    ->         Transitions; masks are 0 where `terminals` is true

    Without `next_observations` a step's next state is the next row's. A row at which an episode is cut then has none
    and is no transition; its state remains as the one before it led to. A terminal row is one nevertheless: nothing is
    bootstrapped from the state it leads to, so that its own stands in.

    Raises QamError for a file that is missing, damaged or incomplete, for wrong shapes or dtypes, numbers that are not
    finite, actions out of bounds, and when no transition is left.
    """
    path = Path(path)
    source = f"data file {path}"
    arrays = _read(path)
    actions = unit_actions(arrays["actions"], low, high, source)
    try:
        return _transitions(arrays, actions, source, device, dtype)
    except QamError as error:
        told = str(error)
        raise error if told.startswith(source) else QamError(f"{source}: {told}") from error


def _transitions(
    arrays: Arrays, actions: np.ndarray, source: str, device: torch.device | str, dtype: torch.dtype
) -> Transitions:
    ended = arrays["terminals"]
    over = ended | arrays.get("timeouts", arrays.get("truncations", np.zeros_like(ended)))
    over[-1] = True
    if "next_observations" in arrays:
        return Transitions.from_arrays(
            arrays["observations"], actions, arrays["rewards"], ~ended, over, arrays["next_observations"],
            device=device, dtype=dtype,
        )  # fmt: skip
    kept = ~over | ended
    if not kept.any():
        raise QamError(f"{source} has no row with a next one in its episode: record longer episodes")
    rows = np.flatnonzero(kept)
    following = np.where(ended, np.arange(len(ended)), np.arange(1, len(ended) + 1))
    last = over | ~np.append(kept[1:], False)
    return Transitions(
        states=torch.as_tensor(arrays["observations"]).to(device, dtype),
        state_rows=torch.as_tensor(rows),
        next_rows=torch.as_tensor(following[rows]),
        actions=torch.as_tensor(actions[rows]),
        rewards=torch.as_tensor(arrays["rewards"][rows]),
        masks=torch.as_tensor(~ended[rows]),
        terminals=torch.as_tensor(last[rows]),
    )


def _read(path: Path) -> Arrays:
    """The file's arrays: numbers as they are, flags as bool."""
    with open_archive(path) as archive:
        headers = archive.headers(_names(archive))
        _check_layout(path, headers)
        arrays = archive.arrays(headers)
    for name, array in arrays.items():
        if name in _FLAGS:
            arrays[name] = _flags(path, name, array)
        elif not (finite := np.isfinite(array).reshape(len(array), -1).all(axis=1)).all():
            raise QamError(
                f"data file {path}: '{name}' has NaN or infinity, first in row {int(np.argmin(finite))}: "
                "mend or drop that episode"
            )
    return arrays


def _names(archive: Archive) -> list[str]:
    if missing := [name for name in _REQUIRED if name not in archive.names]:
        raise QamError(
            f"data file {archive.path} has no '{missing[0]}': expected {', '.join(_REQUIRED)} and, where they are "
            f"known, {', '.join(_OPTIONAL)}"
        )
    found = [name for name in (*_REQUIRED, *_OPTIONAL) if name in archive.names]
    if set(_CUTS) <= set(found):
        raise QamError(
            f"data file {archive.path} has both '{_CUTS[0]}' and '{_CUTS[1]}', which mean the same: keep one"
        )
    return found


def _check_layout(path: Path, headers: dict[str, Header]) -> None:
    for name, (shape, dtype, descr, _) in headers.items():
        width = "O" if name.endswith("observations") else "A" if name == "actions" else ""
        if len(shape) != (2 if width else 1) or 0 in shape:
            expected = f"(N, {width})" if width else "(N,)"
            raise QamError(f"data file {path}: '{name}' has shape {shape}, expected {expected} without zeros")
        kinds, words = ("biuf", "booleans") if name in _FLAGS else ("iuf", "numbers")
        if dtype is None or dtype.kind not in kinds:
            raise QamError(f"data file {path}: '{name}' has dtype {dtype or descr}, expected {words}")
    rows = headers["observations"].shape[0]
    for name, header in headers.items():
        if header.shape[0] != rows:
            raise QamError(
                f"data file {path}: '{name}' has {header.shape[0]} rows but 'observations' has {rows}: "
                "all arrays need one row per transition"
            )
    size, other = headers["observations"].shape, headers.get("next_observations", headers["observations"]).shape
    if size != other:
        raise QamError(
            f"data file {path}: 'next_observations' has shape {other}, expected {size} as 'observations' has"
        )


def _flags(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    # A damaged boolean's byte can be any; as numpy's bool it would be neither True nor False.
    values = array.view(np.uint8) if array.dtype.kind == "b" else array
    if not np.isin(values, (0, 1)).all():
        raise QamError(f"data file {path}: '{name}' has values other than 0 and 1: use booleans")
    return array.astype(bool)
