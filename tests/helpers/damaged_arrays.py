"""Files in a healthy zip, whose arrays are not what they should be, or not what they claim to be."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.helpers.damage import ROWS, Damaged, damage, described, header, healthy, members, quietly, zipped
from tests.helpers.damaged_archives import flip


def one_array(rng: np.random.Generator, change: Callable[[np.ndarray], Any], *keys: str) -> Damaged:
    """Another array in the place of one of `keys` (default: any but the buttons)."""
    arrays = healthy()
    key = str(rng.choice(keys or list(arrays)[:5]))
    arrays[key] = change(arrays[key])
    return Damaged(zipped(members(arrays)), arrays)


def with_header(rng: np.random.Generator, text: Callable[[np.ndarray], str], **options: Any) -> Damaged:
    arrays = healthy()
    key = str(rng.choice(list(arrays)))
    parts = members(arrays)
    parts[f"{key}.npy"] = header(parts[f"{key}.npy"], text(arrays[key]), **options)
    return Damaged(zipped(parts), arrays)


# Headers


@damage(40)
def bits_in_an_array_header(rng: np.random.Generator) -> Damaged:
    """Inside the zip, so that its checksums agree."""
    parts = members(healthy())
    name = str(rng.choice(list(parts)))
    parts[name] = flip(bytearray(parts[name]), rng, 0, 80).data
    arrays = healthy()
    # A flip may turn one dtype into another of the same size, which is then what the file says; or be past reading.
    with contextlib.suppress(Exception):
        arrays[name.removesuffix(".npy")] = quietly(np.load, io.BytesIO(parts[name]))
    return Damaged(zipped(parts), arrays)


@damage(50)
def headers_that_lie(rng: np.random.Generator) -> Damaged:
    rows, columns = ROWS, 3
    shapes = [
        (rows + 1, columns), (rows - 1, columns), (columns, rows), (rows * columns,), (rows, columns, 1), (),
        (10**9, 10**6), (10**18, 10**18), (2**62, 4), (0, columns), (-1, columns), (-rows, -columns), (rows, 0),
        f"({rows}L, {columns}L)", f"({rows}, 0{columns})", f"({rows}.0, {columns})", f"({rows}, {columns}", "None",
        f"[{rows}, {columns}]", f"({'1, ' * 40})", f"({'9' * 5000}, 3)", f"({rows}, (3,))", f"(True, {columns})",
    ]  # fmt: skip
    shape = shapes[int(rng.integers(len(shapes)))]
    return with_header(rng, lambda array: described(shape, f"'{array.dtype.str}'"))


@damage(70)
def headers_that_are_odd(rng: np.random.Generator) -> Damaged:
    texts = [
        "", "{}", "None", "[]", "{" * 60, "[" * 110, "-" * 110, "{[]: 1}", "{1: 2}", "\x00" * 50, "{'descr': '\\d'}",
        "{'descr': '<f4'}", "{'shape': (60, 3)}", "__import__('os').abort()", "().__class__", "1if 1else 2", "0777",
        described((ROWS, 3), "'<f4'", "maybe"), described((ROWS, 3), "'<f4'", "1"), described((ROWS, 3), "'\\N{x}'"),
        described((ROWS, 3), "'\\d'"), described((ROWS, 3), "(1, 2)"), described((ROWS, 3), "['<f4']"), '"""', "(\n",
        described((ROWS, 3), "'<f3'"), described((ROWS, 3), "'<f400'"), described((ROWS, 3), "'float32, float32'"),
        described((ROWS, 3), "'O'"), described((ROWS, 3), "'M8[foo]'"), described((ROWS, 3), "[('a', '<f4')]"),
        described((ROWS, 3)) + " # comment", described((ROWS, 3)) * 2, "x = 1", "\t\x0c\x0b{", "{'a': 1e999}",
    ]  # fmt: skip
    text = texts[int(rng.integers(len(texts)))]
    return with_header(rng, lambda _: text)


@damage(16)
def header_lengths_and_versions(rng: np.random.Generator) -> Damaged:
    options: list[dict[str, Any]] = [
        {"version": b"\x02\x00"}, {"version": b"\x03\x00"}, {"version": b"\x09\x09"}, {"length": 0}, {"length": 65535},
        {"length": 10}, {"version": b"\x02\x00", "length": 2**32 - 1}, {"version": b"\x02\x00", "length": 2**20},
    ]  # fmt: skip
    option = options[int(rng.integers(len(options)))]
    return with_header(rng, lambda array: described(array.shape, f"'{array.dtype.str}'"), **option)


@damage(20)
def members_cut_short(rng: np.random.Generator) -> Damaged:
    """Before they are zipped, so that the checksums agree."""
    parts = members(healthy())
    name = str(rng.choice(list(parts)))
    parts[name] = parts[name][: int(rng.choice([0, 1, 6, 8, 9, 10, 60, 128, len(parts[name]) - 1]))]
    return Damaged(zipped(parts), healthy())


@damage(4)
def fortran_order(rng: np.random.Generator) -> Damaged:
    return one_array(rng, np.asfortranarray)


# Numbers


@damage(50)
def another_dtype(rng: np.random.Generator) -> Damaged:
    dtypes = [
        np.complex64, np.complex128, "U8", "S8", "V4", "M8[s]", "m8[D]", np.int32, np.int64, np.uint8, bool,
        np.longdouble, ">f4", ">f8", np.float16, np.float64,
    ]  # fmt: skip
    dtype = np.dtype(dtypes[int(rng.integers(len(dtypes)))])

    def change(array: np.ndarray) -> np.ndarray:
        if dtype.kind in "VMm":
            return np.zeros(array.shape, dtype)
        return array.astype(dtype)

    return one_array(rng, change)


@damage(4)
def fields_instead_of_numbers(rng: np.random.Generator) -> Damaged:
    return one_array(rng, lambda array: np.zeros(array.shape, [("x", "<f4"), ("y", "<i8")]))


@damage(24)
def another_shape(rng: np.random.Generator) -> Damaged:
    changes: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda array: array[0, ...].reshape(-1)[0],
        lambda array: array.reshape(-1),
        lambda array: array[..., None],
        lambda array: array[:0],
        lambda array: array.reshape(ROWS, -1)[:, :0],
        lambda array: array[: int(rng.integers(1, ROWS))],
        lambda array: np.concatenate([array, array[:1]]),
        lambda array: array.T,
    ]
    return one_array(rng, changes[int(rng.integers(len(changes)))])


@damage(20)
def not_finite(rng: np.random.Generator) -> Damaged:
    """The last is finite, but not as float32; the positions' own dtype is kept, so there it does no harm."""
    value = float(rng.choice([np.nan, np.inf, -np.inf, 1e300]))

    def change(array: np.ndarray) -> np.ndarray:
        array = array.astype(np.float64)
        array[tuple(rng.integers(array.shape))] = value
        return array

    return one_array(rng, change)


@damage(14)
def episodes_without_end(rng: np.random.Generator) -> Damaged:
    wrong = [
        np.zeros(ROWS, bool), np.ones(ROWS, bool), np.arange(ROWS) == 3, np.arange(ROWS), np.full(ROWS, 0.5),
        np.where(np.arange(ROWS) == ROWS - 1, 2.0, 0.0), np.full(ROWS, -1),
    ]  # fmt: skip
    return one_array(rng, lambda _: wrong[int(rng.integers(len(wrong)))], "terminals")


@damage(3)
def booleans_that_are_neither(rng: np.random.Generator) -> Damaged:
    parts = members(healthy())
    parts["terminals.npy"] = parts["terminals.npy"][:-1] + bytes([int(rng.integers(2, 256))])
    return Damaged(zipped(parts), {})
