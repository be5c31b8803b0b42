"""Recorded checksums: sha256sum's format, one reading of a file that stays, and notice of one that changes."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from qam_torch.data import checksums
from qam_torch.data.checksums import checksum, record_checksum, record_path
from qam_torch.types import QamError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x-v0.npz"
    path.write_bytes(b"some bytes")
    return path


def recorded(path: Path) -> str:
    """The hash in a whole record with a comment."""
    comment, line = record_path(path).read_text().splitlines()
    assert comment.startswith("# size ")
    return line.split()[0]


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_computed_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checksum(file) == recorded(file) == sha256(b"some bytes")
    monkeypatch.setattr(checksums, "file_hash", lambda path: pytest.fail("read again"))
    assert checksum(file) == sha256(b"some bytes")


def test_touched_file_is_read_again_and_is_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = checksum(file)
    os.utime(file, ns=(1, 1))
    assert checksum(file) == first
    monkeypatch.setattr(checksums, "file_hash", lambda path: pytest.fail("read again"))
    assert checksum(file) == first


def test_changed_file_is_noticed(file: Path) -> None:
    checksum(file)
    file.write_bytes(b"same bytes")  # as many
    os.utime(file, ns=(1, 1))
    with pytest.raises(QamError, match=r"x-v0.npz has changed since its checksum was recorded .* or remove .*sha256"):
        checksum(file)
    assert record_checksum(file) == checksum(file) == sha256(b"same bytes")


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_reads_the_record_and_writes_one(file: Path) -> None:
    checksum(file)
    command = ["sha256sum", "--check", "--strict", record_path(file).name]
    assert subprocess.run(command, cwd=file.parent, capture_output=True).stdout == b"x-v0.npz: OK\n"
    theirs = subprocess.run(["sha256sum", file.name], cwd=file.parent, capture_output=True).stdout
    record_path(file).write_bytes(theirs.replace(b"x-v0", b"other"))
    assert checksum(file) == sha256(b"some bytes")  # another file's record is none
    record_path(file).write_bytes(theirs)
    assert checksum(file) == recorded(file) == sha256(b"some bytes")
    record_path(file).write_bytes(theirs)
    file.write_bytes(b"not as published")
    with pytest.raises(QamError, match="has changed"):
        checksum(file)


def test_record_cut_short_is_no_record(file: Path) -> None:
    checksum(file)
    whole = record_path(file).read_bytes()
    for length in range(len(whole)):
        record_path(file).write_bytes(whole[:length].replace(b"size 10", b"size 11"))  # a record of another file
        assert checksum(file) == sha256(b"some bytes")
        assert record_path(file).read_bytes() == whole


def test_directory_that_cannot_be_written_to(file: Path) -> None:
    record_path(file).mkdir()
    assert checksum(file) == checksum(file) == sha256(b"some bytes")
