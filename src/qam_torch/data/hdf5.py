"""Read HDF5 files of recorded steps, in the layout of D4RL or of robomimic.

The package h5py is an optional dependency and is imported only when a file is read.

D4RL has one row per step in time order. Other arrays and groups are ignored:

    observations (N, O), actions (N, A), rewards (N,), terminals (N,)
    timeouts (N,), next_observations (N, O): both optional

robomimic has one group per demonstration:

    data/demo_0/: actions (T, A), rewards (T,), dones (T,), obs/KEY (T, ...)
    next_obs/KEY (T, ...): optional
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qam_torch.data.array_checks import (
    FLAGS,
    NUMBERS,
    ArraySpec,
    Layout,
    are_flags,
    layout_problems,
    native,
    number_problem,
)
from qam_torch.data.npz import HDF5_SIGNATURE, NPZ_SIGNATURE
from qam_torch.data.recorded_steps import RecordedSteps
from qam_torch.types import QamError

if TYPE_CHECKING:
    import h5py

__all__ = ["hdf5_steps"]

D4RL_LAYOUT: Layout = {
    "observations": ArraySpec("NO", NUMBERS),
    "actions": ArraySpec("NA", NUMBERS),
    "rewards": ArraySpec("N", NUMBERS),
    "terminals": ArraySpec("N", FLAGS),
    "timeouts": ArraySpec("N", FLAGS, required=False),
    "next_observations": ArraySpec("NO", NUMBERS, required=False),
}

DEMONSTRATION_LAYOUT: Layout = {
    "actions": ArraySpec("NA", NUMBERS),
    "rewards": ArraySpec("N", NUMBERS),
    "dones": ArraySpec("N", FLAGS),
}


def hdf5_steps(path: str | os.PathLike[str], obs_keys: Sequence[str] | None = None) -> RecordedSteps:
    """Read a file in the layout of D4RL or of robomimic.

    In robomimic's layout, a step is terminal if its `dones` is set. The last step of each demonstration always ends an
    episode.

    Args:
        path: path of the file.
        obs_keys: robomimic only: names of the arrays in obs/ that form the observation. They are flattened and
            concatenated in this order. None uses all arrays of numbers in the first demonstration that have one or two
            axes, sorted by name.

    Raises:
        QamError: the file or an array is missing, or the file is not an HDF5 file. Also raised if an array has a wrong
            shape or dtype, non-finite numbers, or flags other than 0 and 1.
    """
    import h5py

    path = Path(path)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # checked first: opening a pipe would wait for its writer
            raise QamError(f"data file {path} is not a file (but a directory, pipe or device): give the HDF5 file")
        with h5py.File(path, "r") as file:
            if isinstance(file.get("data"), h5py.Group):
                return _demonstrations(path, file["data"], obs_keys)
            if obs_keys is not None:
                raise QamError(f"env.obs_keys={list(obs_keys)} is for robomimic's layout, and data file {path} has no "
                               "group 'data': leave it out")  # fmt: skip
            return _d4rl(path, file)
    except QamError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise QamError(f"data file {path} does not exist: check the path, or put the file there") from None
    except MemoryError:
        raise QamError(f"data file {path} does not fit into memory: use a smaller dataset") from None
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        # h5py raises these types for damaged files.
        raise QamError(f"data file {path} {_not_hdf5(path, ' '.join(str(error).split())[:120])}") from error


def _not_hdf5(path: Path, reason: str) -> str:
    """Describe, from its first bytes, the problem of a file that h5py cannot read."""
    try:
        with open(path, "rb") as file:
            start = file.read(len(HDF5_SIGNATURE))
    except OSError as error:
        return f"cannot be opened ({error.strerror}): check its path and permissions"
    if start == HDF5_SIGNATURE:
        return f"is truncated or damaged ({reason}): fetch it again"
    if start.startswith(NPZ_SIGNATURE):
        return "is an npz file, not an HDF5 file: train with env=npz path=... env_id=..."
    return "is not an HDF5 file: give one in the layout of D4RL or robomimic"


def _d4rl(path: Path, file: h5py.File) -> RecordedSteps:
    arrays = _read(f"data file {path}", file, D4RL_LAYOUT)
    timeouts = arrays.get("timeouts", np.zeros_like(arrays["terminals"]))
    return RecordedSteps(
        arrays["observations"], arrays["actions"], arrays["rewards"], arrays["terminals"], timeouts,
        arrays.get("next_observations"),
    )  # fmt: skip


def _demonstrations(path: Path, group: h5py.Group, obs_keys: Sequence[str] | None) -> RecordedSteps:
    """Read all demonstrations, in the order of their numbers."""
    names = sorted((name for name in group if re.fullmatch(r"demo_\d+", name)), key=lambda name: int(name[5:]))
    if not names:
        raise QamError(f"data file {path} has no demonstration data/demo_0: expected robomimic's or D4RL's layout")
    place = f"data file {path}: data"
    demonstrations = {f"{place}/{name}": _group(place, group, name) for name in names}
    if obs_keys is None:
        source, first = next(iter(demonstrations.items()))
        obs_keys = _low_dimensional(_group(source, first, "obs"))
        if not obs_keys:
            raise QamError(f"{source}/obs has no low-dimensional array: name arrays with 'env.obs_keys=[...]'")
    parts: list[RecordedSteps] = []
    for source, demonstration in demonstrations.items():
        parts.append(_demonstration(source, demonstration, obs_keys))
        for what in ("observations", "actions"):
            size, expected = (getattr(part, what).shape[1] for part in (parts[-1], parts[0]))
            if size != expected:
                raise QamError(f"{source}: {what} have size {size} but data/{names[0]} has {expected}: make them equal")
    following = [part.next_observations for part in parts]
    whole = [part for part in following if part is not None]
    joined: dict[str, Any] = {
        what: np.concatenate([getattr(part, what) for part in parts])
        for what in ("observations", "actions", "rewards", "terminals", "timeouts")
    }
    # Next observations are used only if every demonstration has them. Otherwise all next states come from the next row.
    return RecordedSteps(**joined, next_observations=np.concatenate(whole) if len(whole) == len(parts) else None)


def _demonstration(source: str, group: h5py.Group, keys: Sequence[str]) -> RecordedSteps:
    arrays = _read(source, group, DEMONSTRATION_LAYOUT)
    steps = len(arrays["dones"])
    observations = _observations(f"{source}/obs", _group(source, group, "obs"), keys, steps)
    following = None
    if "next_obs" in group:
        following = _observations(f"{source}/next_obs", _group(source, group, "next_obs"), keys, steps)
    timeouts = np.zeros(steps, bool)
    timeouts[-1] = True
    return RecordedSteps(observations, arrays["actions"], arrays["rewards"], arrays["dones"], timeouts, following)


def _group(source: str, parent: h5py.Group, name: str) -> h5py.Group:
    """Return the group `name` in the group `parent`."""
    import h5py

    found = parent.get(name)
    if not isinstance(found, h5py.Group):
        raise QamError(f"{source} has no group '{name}': expected data/demo_N with actions, rewards, dones and obs/KEY")
    return found


def _low_dimensional(group: h5py.Group) -> list[str]:
    """List the names of the arrays of numbers with one row per step and at most one more axis."""
    return sorted(
        name for name, item in group.items() if _is_array(item) and item.ndim in (1, 2) and item.dtype.kind in NUMBERS
    )


def _observations(source: str, group: h5py.Group, keys: Sequence[str], steps: int) -> np.ndarray:
    """Read the arrays named by `keys`, flatten them, and concatenate them to (T, O)."""
    columns = []
    for key in keys:
        if not _is_array(group.get(key)):
            raise QamError(f"{source} has no '{key}': expected one of {', '.join(sorted(group))}")
        item = group[key]
        if item.ndim == 0 or len(item) != steps or item.dtype.kind not in FLAGS:
            raise QamError(
                f"{source}/{key} has shape {item.shape} and dtype {item.dtype}, expected numbers with {steps} rows"
            )
        columns.append(native(item[()]).reshape(steps, -1))
    observations = np.concatenate(columns, axis=1)
    _require_finite(source, ", ".join(keys), observations)
    return observations


def _read(source: str, group: h5py.Group, layout: Layout) -> dict[str, np.ndarray]:
    """Read and check the arrays of a layout. Flags become bool."""
    items: Mapping[str, h5py.Dataset] = {name: group[name] for name in layout if _is_array(group.get(name))}
    required = [name for name, spec in layout.items() if spec.required]
    if missing := [name for name in required if name not in items]:
        raise QamError(f"{source} has no array '{missing[0]}': expected {', '.join(required)}")
    for problem in layout_problems(items, layout):
        raise QamError(f"{source}: {problem}")
    arrays = {name: native(item[()]) for name, item in items.items()}
    for name, array in arrays.items():
        if layout[name].kinds != FLAGS:
            _require_finite(source, name, array)
        elif are_flags(array).all():
            arrays[name] = array.astype(bool)
        else:
            raise QamError(f"{source}: '{name}' has values other than 0 and 1: use booleans")
    return arrays


def _require_finite(source: str, name: str, array: np.ndarray) -> None:
    if problem := number_problem(array):
        raise QamError(f"{source}: '{name}' {problem}")


def _is_array(item: Any) -> bool:
    import h5py

    return isinstance(item, h5py.Dataset)
