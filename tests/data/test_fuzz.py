"""Damaged files: each is refused with one sentence or, where the damage is harmless, read as it was."""

from __future__ import annotations

import os
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qam_torch.data.inspection.checks import inspect_file
from qam_torch.data.ogbench_format import read_npz
from qam_torch.types import QamError
from tests.helpers.damage import DAMAGES, ROWS, Arrays, healthy, members, npy, zipped

pytestmark = pytest.mark.timeout(60)


def read(path: Path) -> Arrays | QamError:
    """The arrays of a file, or the error; any other exception or a warning fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return read_npz(path)
        except QamError as error:
            sentence = str(error)
            assert sentence.isprintable() and len(sentence) < 400 + len(str(path)) and str(path) in sentence
            return error


def refused(path: Path) -> str:
    outcome = read(path)
    assert isinstance(outcome, QamError), f"{path.name} was read"
    return str(outcome)


def assert_same(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
        assert found[name].dtype.isnative and found[name].flags.c_contiguous and found[name].flags.writeable
    assert found["observations"].dtype == found["actions"].dtype == np.float32
    assert found["terminals"].dtype == bool


ALWAYS_READ = {"fortran_order", "more_than_needed"}
SOMETIMES_READ = {"another_dtype", "one_bit_anywhere", "bits_in_the_directory", "not_finite", "two_members_exchanged"}
SOMETIMES_READ |= {"a_member_renamed", "an_array_missing", "another_shape", "bytes_lost_or_zeroed"}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A loader that refused everything, or nothing, would fail; and the inspection finds what the loader refuses."""
    files, make = DAMAGES[name]
    outcomes, path = set(), tmp_path / f"{name}.npz"
    for number in range(files):
        made = make(np.random.default_rng([number, *name.encode()]))
        path.write_bytes(made.data)
        outcome = read(path)
        outcomes.add(type(outcome))
        if isinstance(outcome, dict):
            assert_same(outcome, made.arrays)
        elif number < 10:
            assert any(finding.level == "error" for finding in inspect_file(path)), number
    assert outcomes == {dict} if name in ALWAYS_READ else QamError in outcomes
    assert (dict in outcomes) == (name in ALWAYS_READ | SOMETIMES_READ)
    assert capfd.readouterr() == ("", "")


class Hostile:
    """Unpickling it makes a directory."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["object array", "field of objects", "raw pickle", "pickle for an npz"])
@pytest.mark.parametrize("name", ["observations", "button_states"])
def test_nothing_is_unpickled(form: str, name: str, tmp_path: Path) -> None:
    marker, path = tmp_path / "marker", tmp_path / "x.npz"
    parts = members(healthy())
    parts[f"{name}.npy"] = {
        "object array": npy(np.array([[Hostile(marker)]] * ROWS, dtype=object)),
        "field of objects": npy(np.array([(Hostile(marker),)] * ROWS, dtype=[("x", object)])),
        "raw pickle": pickle.dumps(Hostile(marker)),
        "pickle for an npz": b"",
    }[form]
    path.write_bytes(pickle.dumps(Hostile(marker)) if form == "pickle for an npz" else zipped(parts))
    refused(path)
    assert not marker.exists()
    if form == "object array":
        with pytest.raises(Exception), np.load(path, allow_pickle=True) as file:  # noqa: B017 (whatever mkdir's None gives)
            raise ValueError(file[name])
        assert marker.exists()  # the file is as dangerous as it was meant to be


def test_headers_are_compared_before_any_data_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = healthy()
    np.savez(tmp_path / "x.npz", **{**arrays, "qvel": arrays["qvel"][:-1]})
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("data were read"))
    assert "'qvel' has 59 rows but 'observations' has 60" in refused(tmp_path / "x.npz")


def test_only_the_named_arrays_are_read(tmp_path: Path) -> None:
    """A damaged array that is not needed does no harm."""
    arrays = {name: np.concatenate([array] * 100) for name, array in healthy().items()}
    data = bytearray(zipped(members(arrays), compression=0))
    data[data.index(arrays["qpos"].tobytes()) + 90_000] ^= 1
    (path := tmp_path / "x.npz").write_bytes(data)
    assert "reading 'qpos' failed" in refused(path)
    assert read_npz(path, only=("observations", "terminals")).keys() == {"observations", "terminals"}


PLACES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing": (lambda path: None, "does not exist"),
    "an empty file": (lambda path: path.write_bytes(b""), "is not an npz file"),
    "a directory": (lambda path: path.mkdir(), "is not a file"),
    "a pipe": (os.mkfifo, "is not a file"),
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
