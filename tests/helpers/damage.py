"""A healthy data file, and what it takes to damage it.

A damage takes a generator and gives a file's bytes and what they still say: to read them must be refused, or give
exactly these arrays. `damaged_archives` and `damaged_arrays` have them.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

ROWS = 60
Arrays = dict[str, np.ndarray]
Members = dict[str, bytes]


class Damaged(NamedTuple):
    data: bytes
    arrays: Arrays


Damage = Callable[[np.random.Generator], Damaged]
DAMAGES: dict[str, tuple[int, Damage]] = {}
"""Name -> how many files the fuzz makes of it, and the damage."""


def damage(files: int) -> Callable[[Damage], Damage]:
    def register(function: Damage) -> Damage:
        DAMAGES[function.__name__] = (files, function)
        return function

    return register


def healthy() -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "observations": rng.normal(size=(ROWS, 3)).astype(np.float32),
        "actions": rng.uniform(-1, 1, size=(ROWS, 2)).astype(np.float32),
        "terminals": np.arange(ROWS) % 6 == 5,
        "qpos": rng.normal(size=(ROWS, 4)).astype(np.float32),
        "qvel": rng.normal(size=(ROWS, 4)).astype(np.float32),
        "button_states": rng.integers(0, 2, size=(ROWS, 2)),
    }


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), allow_pickle=True)
    return out.getvalue()


def members(arrays: Arrays) -> Members:
    return {f"{key}.npy": npy(array) for key, array in arrays.items()}


def zipped(parts: Members | list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        for name, data in parts.items() if isinstance(parts, dict) else parts:
            file.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return out.getvalue()


def whole(rng: np.random.Generator) -> bytearray:
    """A healthy file as numpy writes it, compressed or not."""
    out = io.BytesIO()
    (np.savez, np.savez_compressed)[rng.integers(2)](out, **healthy())  # type: ignore[arg-type]
    return bytearray(out.getvalue())


def header(data: bytes, text: str, version: bytes = b"\x01\x00", length: int | None = None) -> bytes:
    """The npy `data` with another text in its header."""
    numbers = data[10 + int.from_bytes(data[8:10], "little") :]
    encoded = text.encode("latin-1").ljust(117) + b"\n"
    size = len(encoded) if length is None else length
    return b"\x93NUMPY" + version + size.to_bytes(2 if version == b"\x01\x00" else 4, "little") + encoded + numbers


def described(shape: Any, descr: Any = "'<f4'", fortran: Any = False) -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


def quietly(function: Callable[..., Any], *arguments: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile finds a doubled name strange, too
        return function(*arguments)
