"""Specify the arrays of a data file, and check them. All file formats share these checks."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from qam_torch.data.npz import open_npz
from qam_torch.types import QamError

__all__ = [
    "FLAGS", "FLOATS", "INTEGERS", "NUMBERS", "ArraySpec", "Layout",
    "are_flags", "array_problem", "converted", "layout_problems", "native", "non_finite_row",
    "number_problem", "read_arrays",
]  # fmt: skip

FLOATS, INTEGERS, NUMBERS, FLAGS = "f", "iu", "iuf", "biuf"
"""Kinds of numpy dtypes that a specification allows. FLAGS are numbers or booleans, all of them 0 or 1."""

_KIND_NAMES = {FLOATS: "floating-point numbers", INTEGERS: "integers", NUMBERS: "numbers", FLAGS: "booleans"}


class ArraySpec(NamedTuple):
    """The required shape and dtype of one array in a file.

    Attributes:
        axes: one letter per axis. Axes with the same letter must have equal sizes in all arrays. N is the number of
            rows.
        kinds: FLOATS, INTEGERS, NUMBERS or FLAGS.
        required: whether a file without this array is rejected.
        dtype: dtype to which the array is converted when it is read. None keeps the dtype of the file.
    """

    axes: str
    kinds: str
    required: bool = True
    dtype: type | None = None


Layout = Mapping[str, ArraySpec]
"""Name -> specification, for all arrays of a file format."""


class _Described(Protocol):
    """An array or the header of an array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...


def array_problem(spec: ArraySpec, array: _Described) -> str:
    """Describe what is wrong with the shape or dtype of an array, e.g. "has shape (8,), expected (N, O)".

    Returns:
        The problem, or "" if there is none.
    """
    axes, shape = spec.axes, array.shape
    expected = f"has shape {shape}, expected ({', '.join(axes)}{',' if len(axes) == 1 else ''})"
    if len(shape) == len(axes) + 1 and shape[-1] == 1:
        return f"{expected}: drop the last axis, e.g. array.reshape({'-1' if len(axes) == 1 else 'len(array), -1'})"
    if len(shape) != len(axes):
        return f"{expected}: one row per step"
    if any(size == 0 and axis in ("N", "O", "A") for axis, size in zip(axes, shape, strict=True)):
        return f"{expected}: it is empty"
    if array.dtype.kind not in spec.kinds or array.dtype.itemsize > 8:
        return f"has dtype {array.dtype}, expected {_KIND_NAMES[spec.kinds]}"
    return ""


def layout_problems(
    arrays: Mapping[str, _Described], layout: Layout, environment: Mapping[str, int | None] | None = None
) -> Iterator[str]:
    """Yield one sentence for each problem with the shapes and dtypes of arrays.

    Args:
        arrays: name -> array or header.
        layout: specifications of the arrays. Arrays without a specification are ignored.
        environment: axis -> size in the environment, or None if the size is unknown.
    """
    environment = environment or {}
    sizes = {axis: (size, "the environment's is") for axis, size in environment.items() if size is not None}
    for name, spec in layout.items():
        if name not in arrays:
            continue
        if problem := array_problem(spec, arrays[name]):
            yield f"'{name}' {problem}"
            continue
        for axis, size in zip(spec.axes, arrays[name].shape, strict=True):
            expected, owner = sizes.setdefault(axis, (size, f"'{name}' has"))
            if size != expected and axis == "N":
                yield f"'{name}' has {size} rows but {owner} {expected}: all arrays need one row per time step"
            elif size != expected:
                fix = "use the dataset that belongs to this environment" if axis in environment else "make them equal"
                yield f"'{name}' has size {size} but {owner} {expected}: {fix}"


def are_flags(array: np.ndarray) -> np.ndarray:
    """Return a boolean array that is true for entries equal to 0 or 1, shaped like the input.

    Booleans are checked as bytes, because a damaged file may contain bytes other than 0 and 1.
    """
    return np.isin(array.view(np.uint8) if array.dtype.kind == "b" else array, (0, 1))


def non_finite_row(array: np.ndarray) -> int | None:
    """Return the index of the first row of an array (N, ...) with NaN or infinity, or None if there is no such row."""
    finite = np.isfinite(array)
    return None if finite.all() else int(np.argmin(finite.reshape(len(array), -1).all(axis=1)))


def number_problem(array: np.ndarray, dtype: np.dtype | type | None = None) -> str:
    """Describe what is wrong with the numbers of an array: NaN, infinity, or numbers that a dtype cannot represent.

    Args:
        array: (N, ...), any numbers.
        dtype: dtype to which the array will be converted. None if it is not converted.

    Returns:
        The problem, or "" if there is none.
    """
    with np.errstate(all="ignore"):
        row = non_finite_row(array if dtype is None else array.astype(dtype, copy=False))
    if row is None:
        return ""
    if not np.isfinite(array[row]).all():
        return f"has NaN or infinity, first in row {row}: fix or drop that episode"
    largest = max(np.ravel(array[row]), key=abs)
    return (
        f"has {largest:g} in row {row}, but {np.dtype(dtype)} holds numbers up to {np.finfo(dtype).max:.2g} only: "
        "rescale it"
    )


def converted(array: np.ndarray, spec: ArraySpec) -> np.ndarray:
    """Convert an array to the specified dtype, if there is one. Numbers out of the dtype's range become infinite."""
    with np.errstate(all="ignore"):
        return array.astype(spec.dtype, copy=False) if spec.dtype is not None else native(array)


def native(array: np.ndarray) -> np.ndarray:
    """Convert an array to the byte order of this machine, which torch requires."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def read_arrays(
    path: str | os.PathLike[str],
    layout: Layout,
    only: Collection[str] | None = None,
    environment: Mapping[str, int | None] | None = None,
) -> dict[str, np.ndarray]:
    """Read the arrays of a file and check them against a layout. No Python object is ever unpickled.

    Args:
        path: path of an npz file.
        layout: specifications of the arrays. Other arrays in the file are ignored.
        only: names of the arrays to read. None reads all arrays. Shapes and dtypes are checked for all arrays.
        environment: axis -> size in the environment, or None if the size is unknown.

    Returns:
        Name -> array in the specified dtype. Flags are booleans.

    Raises:
        QamError: the file is missing or damaged, or a required array is missing. Or an array has a wrong shape or
            dtype, numbers that are not finite, or flags that are not 0 or 1.
    """
    with open_npz(path) as file:
        required = [name for name, spec in layout.items() if spec.required]
        if missing := [name for name in required if name not in file.names]:
            optional = ", ".join(name for name in layout if name not in required)
            raise QamError(
                f"data file {path} has no '{missing[0]}': expected {', '.join(required)} and optionally {optional}"
            )
        headers = file.headers([name for name in layout if name in file.names])
        for problem in layout_problems(headers, layout, environment):
            raise QamError(f"data file {path}: {problem}")
        arrays = file.arrays([name for name in headers if only is None or name in only])
    for name, array in arrays.items():
        arrays[name] = _checked(Path(path), name, array, layout[name])
    return arrays


def _checked(path: Path, name: str, array: np.ndarray, spec: ArraySpec) -> np.ndarray:
    """Convert an array to the specified dtype. Raise QamError if a value is not allowed."""
    if spec.kinds == FLAGS:
        if not are_flags(array).all():
            raise QamError(f"data file {path}: '{name}' has values other than 0 and 1: use booleans")
        return array.astype(bool)
    if problem := number_problem(array, spec.dtype):
        raise QamError(f"data file {path}: '{name}' {problem}")
    return converted(array, spec)
