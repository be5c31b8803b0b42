"""Damaged and hostile files: each is refused in one sentence or, where the damage is harmless, read as it was."""

from __future__ import annotations

import os
import pickle
import time
import tracemalloc
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qam_torch.data.inspection.checks import inspect_file
from qam_torch.data.ogbench_format import read_npz
from qam_torch.types import QamError
from tests.helpers import damaged_arrays  # noqa: F401  (adds its damages)
from tests.helpers.damage import DAMAGES, ROWS, Arrays, described, header, healthy, members, npy, zipped
from tests.helpers.damaged_archives import entries

SECONDS = 5.0  # for one file
pytestmark = pytest.mark.timeout(30)  # for a hundred


def read(path: Path) -> Arrays | QamError:
    """What the loader makes of a file: arrays, or one sentence. Anything else, a warning or a hang included, fails."""
    began = time.monotonic()
    outcome: Arrays | QamError
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            outcome = read_npz(path)
        except QamError as error:
            outcome = error
    assert time.monotonic() - began < SECONDS, path.name
    if isinstance(outcome, QamError):
        sentence = str(outcome)
        assert sentence.isprintable() and len(sentence) < 400 + len(str(path)) and str(path) in sentence
    return outcome


def refused(path: Path) -> str:
    outcome = read(path)
    assert isinstance(outcome, QamError), f"{path.name} was read"
    return str(outcome)


def assert_same(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_array_equal(found[key], array, err_msg=key)
        assert found[key].dtype.isnative and found[key].flags.c_contiguous and found[key].flags.writeable
    assert found["observations"].dtype == found["actions"].dtype == np.float32
    assert found["terminals"].dtype == bool


def test_there_are_five_hundred() -> None:
    assert sum(files for files, _ in DAMAGES.values()) >= 500


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    files, make = DAMAGES[name]
    for number in range(files):
        made = make(np.random.default_rng([number, *name.encode()]))
        path = tmp_path / f"{name}-{number}.npz"
        path.write_bytes(made.data)
        outcome = read(path)
        if isinstance(outcome, dict):
            assert_same(outcome, made.arrays)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", DAMAGES)
def test_what_the_loader_refuses_the_inspection_finds(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file.npz"
    for number in range(5):
        path.write_bytes(DAMAGES[name][1](np.random.default_rng([number, *name.encode()])).data)
        if isinstance(read(path), QamError):
            assert any(finding.level == "error" for finding in inspect_file(path)), f"{name}, {number}"


def test_numbers_that_float32_cannot_hold_are_found(tmp_path: Path) -> None:
    arrays = healthy()
    arrays["observations"] = arrays["observations"].astype(np.float64)
    arrays["observations"][3, 0] = 1e300
    np.savez(tmp_path / "x.npz", **arrays)
    assert ("numbers", "error") in {finding[:2] for finding in inspect_file(tmp_path / "x.npz")}


HARMLESS = {"bytes_around", "fortran_order", "more_than_needed", "another_dtype", "one_bit_anywhere"}
HARMFUL = {"cut_short", "beginning_lost", "doubled", "encrypted", "booleans_that_are_neither", "episodes_without_end"}


@pytest.mark.parametrize("name", sorted(HARMLESS | HARMFUL))
def test_what_is_refused_and_what_is_not(name: str, tmp_path: Path) -> None:
    """A loader that refused everything, or nothing, would pass the fuzz."""
    files, make = DAMAGES[name]
    outcomes = set()
    for number in range(files):
        (path := tmp_path / "x.npz").write_bytes(make(np.random.default_rng([number, *name.encode()])).data)
        outcomes.add(type(read(path)))
    assert (dict in outcomes) == (name in HARMLESS)
    assert (QamError in outcomes) == (name not in {"bytes_around", "fortran_order", "more_than_needed"})


class Hostile:
    """Unpickling it makes a directory."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["object array", "field of objects", "raw pickle", "pickle for an npz", "header"])
@pytest.mark.parametrize("key", ["observations", "terminals", "button_states"])
def test_nothing_is_unpickled(form: str, key: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "x.npz"
    objects = np.array([[Hostile(marker)]] * ROWS, dtype=object)
    parts = members(healthy())
    parts[f"{key}.npy"] = {
        "object array": npy(objects),
        "field of objects": npy(np.array([(Hostile(marker),)] * ROWS, dtype=[("x", object)])),
        "raw pickle": pickle.dumps(Hostile(marker)),
        "pickle for an npz": b"",
        "header": header(npy(objects), described((ROWS, 1), "'O'")),
    }[form]
    path.write_bytes(pickle.dumps(Hostile(marker)) if form == "pickle for an npz" else zipped(parts))
    refused(path)
    assert not marker.exists()
    if form == "object array":
        with pytest.raises(Exception), np.load(path, allow_pickle=True) as file:  # noqa: B017 (whatever mkdir's None gives)
            raise ValueError(file[key])
        assert marker.exists()  # the file is as dangerous as it was meant to be


def zeros(rows: int, *columns: int, dtype: str = "<f4") -> bytes:
    """So many zeros as npy: compressed, a thousandth of their size."""
    size = rows * int(np.prod(columns)) * np.dtype(dtype).itemsize
    return header(npy(0)[:10], described((rows, *columns), f"'{dtype}'")) + bytes(size)


def one_swollen_member() -> bytes:
    """Its neighbours have 60 rows."""
    return zipped({**members(healthy()), "terminals.npy": zeros(100_000_000, dtype="|b1")})


def all_members_swollen() -> bytes:
    """They agree with each other, and only together they are too large."""
    arrays = dict.fromkeys(("observations", "actions", "qpos", "qvel"), zeros(5_000_000, 1))
    return zipped(
        {"terminals.npy": zeros(5_000_000, dtype="|b1")} | {f"{key}.npy": data for key, data in arrays.items()}
    )


def headers_only() -> bytes:
    return zipped({name: header(data, described((10**12, 1))) for name, data in members(healthy()).items()})


def headers_and_directory_only() -> bytes:
    """The directory has the sizes that the headers claim, and there are no bytes for them."""
    arrays = {f"{key}.npy": zeros(0, 1) for key in ("observations", "actions", "qpos", "qvel")}
    arrays = {name: header(data, described((10**9, 1))) for name, data in arrays.items()}
    data = bytearray(zipped({**arrays, "terminals.npy": header(npy(0)[:10], described((10**9,), "'|b1'"))}))
    for entry, width in zip(entries(data), (4, 4, 4, 4, 1), strict=True):
        data[entry + 24 : entry + 28] = (128 + width * 10**9).to_bytes(4, "little")
    return bytes(data)


def swollen_header() -> bytes:
    text = described((ROWS, 3)) + " " * 2**26
    return zipped({**members(healthy()), "actions.npy": header(npy(0), text, version=b"\x02\x00")})


BOMBS = {
    swollen_header: "truncated or damaged",
    one_swollen_member: "100000000 rows but 'observations' has 60",
    all_members_swollen: "claims to unpack to 85,000,640",
    headers_only: "truncated or damaged",
    headers_and_directory_only: "claims to unpack to 17,000,000,640",
}


@pytest.mark.parametrize("make", BOMBS)
def test_bombs_do_not_fill_the_memory(make: Callable[[], bytes], tmp_path: Path) -> None:
    (path := tmp_path / "bomb.npz").write_bytes(make())
    tracemalloc.start()
    try:
        sentence = refused(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert BOMBS[make] in sentence
    assert peak < 8 * 2**20


PLACES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing": (lambda path: None, "does not exist"),
    "an empty file": (lambda path: path.write_bytes(b""), "truncated or not an npz file"),
    "a directory": (lambda path: path.mkdir(), "is not a file"),
    "a pipe": (os.mkfifo, "is not a file"),
    "a device": (lambda path: path.symlink_to("/dev/null"), "is not a file"),
    "a link to itself": (lambda path: path.symlink_to(path), "cannot be opened"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "does not exist"),
}


@pytest.mark.parametrize("what", PLACES)
def test_places_that_hold_no_file(what: str, tmp_path: Path) -> None:
    make, sentence = PLACES[what]
    make(path := tmp_path / "x.npz")
    assert sentence in refused(path)


def test_impossible_names(tmp_path: Path) -> None:
    assert "cannot be opened" in refused(tmp_path / ("x" * 300 + ".npz"))
    (tmp_path / "file").write_bytes(b"")
    assert "does not exist" in refused(tmp_path / "file" / "x.npz")


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(zipped(members(healthy())))
    path.chmod(0)
    outcome = read(path)
    if os.access(path, os.R_OK):  # the administrator may read everything
        assert isinstance(outcome, dict)
    else:
        assert "cannot be opened (Permission denied)" in str(outcome)


def test_a_truncated_validation_file_leaves_the_training_file_readable(tmp_path: Path) -> None:
    whole = zipped(members(healthy()))
    (tmp_path / "x.npz").write_bytes(whole)
    (tmp_path / "x-val.npz").write_bytes(whole[: len(whole) // 2])
    found = read(tmp_path / "x.npz")
    assert isinstance(found, dict)
    assert_same(found, healthy())
    assert "x-val.npz is truncated" in refused(tmp_path / "x-val.npz")


def test_a_healthy_file_of_zeros_is_no_bomb(tmp_path: Path) -> None:
    """It compresses a thousandfold, but is not large."""
    arrays = {key: np.zeros_like(array) for key, array in healthy().items() if key != "terminals"}
    arrays = {key: np.repeat(array, 1000, axis=0) for key, array in arrays.items()}
    arrays["terminals"] = np.arange(ROWS * 1000) % 1000 == 999
    (path := tmp_path / "x.npz").write_bytes(zipped(members(arrays)))
    assert path.stat().st_size * 100 < sum(array.nbytes for array in arrays.values())
    found = read(path)
    assert isinstance(found, dict)
    assert_same(found, arrays)
