"""A healthy data file, and damages of it.

A damage takes a random generator and returns a file's bytes and the arrays that it still contains: reading it must be
refused, or give exactly these arrays.
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
"""Name -> number of files that the fuzz makes, and the damage."""


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
    return {f"{name}.npy": npy(array) for name, array in arrays.items()}


def zipped(parts: Members | list[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a doubled name
        for name, data in parts.items() if isinstance(parts, dict) else parts:
            file.writestr(zipfile.ZipInfo(name), data, compress_type=compression)
    return out.getvalue()


def whole(rng: np.random.Generator) -> bytearray:
    """A healthy file as numpy writes it, compressed or not."""
    out = io.BytesIO()
    (np.savez, np.savez_compressed)[rng.integers(2)](out, **healthy())  # type: ignore[arg-type]
    return bytearray(out.getvalue())


def flip(data: bytearray, rng: np.random.Generator, low: int, high: int, bits: int = 1) -> Damaged:
    for _ in range(bits):
        data[int(rng.integers(low, high))] ^= 1 << int(rng.integers(8))
    return Damaged(bytes(data), healthy())


def directory_start(data: bytes) -> int:
    """Position of the zip's directory."""
    end = data.rindex(b"PK\x05\x06")
    return int.from_bytes(data[end + 16 : end + 20], "little")


def with_array(rng: np.random.Generator, change: Callable[[np.ndarray], Any], *names: str) -> Damaged:
    """Another array in the place of one of `names` (default: any but the buttons)."""
    arrays = healthy()
    name = str(rng.choice(names or list(arrays)[:5]))
    arrays[name] = change(arrays[name])
    return Damaged(zipped(members(arrays)), arrays)


# Bytes: a broken disk, an interrupted copy


@damage(40)
def cut_short(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    return Damaged(bytes(data[: rng.integers(len(data))]), healthy())


@damage(6)
def beginning_lost(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    return Damaged(bytes(data[rng.integers(1, len(data)) :]), healthy())


@damage(100)
def one_bit_anywhere(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    return flip(data, rng, 0, len(data))


@damage(30)
def many_bits_anywhere(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    return flip(data, rng, 0, len(data), bits=int(rng.integers(2, 200)))


@damage(100)
def bits_in_the_directory(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    return flip(data, rng, directory_start(data), len(data), bits=int(rng.integers(1, 4)))


@damage(60)
def bits_in_an_uncompressed_header(rng: np.random.Generator) -> Damaged:
    """Headers are read before the data, hence before the zip's checksum can be compared."""
    data = bytearray(zipped(members(healthy()), zipfile.ZIP_STORED))
    start = int(rng.choice([place for place in range(len(data)) if data[place:].startswith(b"\x93NUMPY")]))
    return flip(data, rng, start, start + 128, bits=int(rng.integers(1, 3)))


@damage(10)
def bytes_lost_or_zeroed(rng: np.random.Generator) -> Damaged:
    data = whole(rng)
    at, count = int(rng.integers(len(data) - 512)), int(rng.choice([1, 40, 512]))
    data[at : at + count] = bytes(count) if rng.integers(2) else b""
    return Damaged(bytes(data), healthy())


@damage(6)
def not_a_zip(rng: np.random.Generator) -> Damaged:
    texts = [
        b"",
        b"PK",
        b"observations\n1 2 3\n",
        npy(np.zeros(3)),
        bytes(5000),
        b"\x89HDF\r\n\x1a\n" + rng.bytes(5000),
    ]
    return Damaged(texts[int(rng.integers(len(texts)))], healthy())


# Members: a program that writes something else


@damage(6)
def two_members_exchanged(rng: np.random.Generator) -> Damaged:
    arrays = healthy()
    first, second = (str(name) for name in rng.choice(list(arrays), 2, replace=False))
    arrays[first], arrays[second] = arrays[second], arrays[first]
    return Damaged(zipped(members(arrays)), arrays)


@damage(6)
def a_member_renamed(rng: np.random.Generator) -> Damaged:
    arrays, name = healthy(), str(rng.choice(list(healthy())))
    new = str(rng.choice([name, f"{name}.NPY", f"folder/{name}.npy", f"{name}.npy.npy"]))
    data = zipped([(new if part == f"{name}.npy" else part, content) for part, content in members(arrays).items()])
    return Damaged(data, {key: array for key, array in arrays.items() if key != "button_states" or key != name})


@damage(4)
def a_member_doubled(rng: np.random.Generator) -> Damaged:
    parts = list(members(healthy()).items())
    parts.append((parts[int(rng.integers(len(parts)))][0], npy(np.ones((ROWS, 3), np.float32))))
    return Damaged(zipped(parts), {})


@damage(6)
def an_array_missing(rng: np.random.Generator) -> Damaged:
    arrays = healthy()
    del arrays[str(rng.choice(list(arrays)))]
    return Damaged(zipped(members(arrays)), arrays)


@damage(20)
def a_member_cut_short(rng: np.random.Generator) -> Damaged:
    """Before it is zipped, so that the checksums agree."""
    parts = members(healthy())
    name = str(rng.choice(list(parts)))
    parts[name] = parts[name][: int(rng.choice([0, 1, 6, 8, 9, 10, 60, 128, len(parts[name]) - 1]))]
    return Damaged(zipped(parts), healthy())


@damage(10)
def a_header_that_does_not_match(rng: np.random.Generator) -> Damaged:
    parts, name = members(healthy()), str(rng.choice(["observations", "qpos"]))
    shapes = [b"(61, 3)", b"(59, 3)", b"(-1, 3)", b"(60,)  ", b"(60, 3 ", b"(60, 0)", b"(6e1,3)"]
    old = b"(60, 3)" if name == "observations" else b"(60, 4)"
    parts[f"{name}.npy"] = parts[f"{name}.npy"].replace(old, shapes[int(rng.integers(len(shapes)))], 1)
    return Damaged(zipped(parts), healthy())


@damage(3)
def more_than_needed(rng: np.random.Generator) -> Damaged:
    extra = {"notes.txt": b"hello", "folder/": b"", "other.npy": npy(np.array([{}], object)), "rewards.npy": b"junk"}
    return Damaged(zipped({**members(healthy()), **dict(list(extra.items())[: int(rng.integers(1, 5))])}), healthy())


# Arrays


@damage(4)
def fortran_order(rng: np.random.Generator) -> Damaged:
    return with_array(rng, np.asfortranarray)


@damage(40)
def another_dtype(rng: np.random.Generator) -> Damaged:
    dtypes = ["c8", "U8", "S8", "V4", "M8[s]", "i4", "u1", "?", "g", ">f4", ">f8", "f2", "f8", "f4,i8"]
    dtype = np.dtype(dtypes[int(rng.integers(len(dtypes)))])
    return with_array(rng, lambda array: np.zeros(array.shape, dtype) if dtype.kind in "VM" else array.astype(dtype))


@damage(20)
def another_shape(rng: np.random.Generator) -> Damaged:
    changes: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda array: array.reshape(-1)[0],
        lambda array: array.reshape(-1),
        lambda array: array[..., None],
        lambda array: array[:0],
        lambda array: array.reshape(ROWS, -1)[:, :0],
        lambda array: array[:-1],
        lambda array: array.T,
    ]
    return with_array(rng, changes[int(rng.integers(len(changes)))])


@damage(16)
def not_finite(rng: np.random.Generator) -> Damaged:
    """1e300 is infinite in float32, to which observations and actions are converted, but positions are not."""
    value = float(rng.choice([np.nan, np.inf, -np.inf, 1e300]))

    def change(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float64)
        array[tuple(rng.integers(array.shape))] = value
        return array

    return with_array(rng, change)


@damage(10)
def episodes_without_end(rng: np.random.Generator) -> Damaged:
    wrong = [np.zeros(ROWS), np.ones(ROWS, bool), np.arange(ROWS) == 3, np.arange(ROWS), np.full(ROWS, 0.5)]
    return with_array(rng, lambda _: wrong[int(rng.integers(len(wrong)))], "terminals")


@damage(3)
def booleans_that_are_neither(rng: np.random.Generator) -> Damaged:
    parts = members(healthy())
    parts["terminals.npy"] = parts["terminals.npy"][:-1] + bytes([int(rng.integers(2, 256))])
    return Damaged(zipped(parts), {})
