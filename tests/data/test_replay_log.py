"""What was collected, on disk: it comes back as it was, costs what is new, and is never taken for something else."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qam_torch.data import replay_log
from qam_torch.data.replay_log import ReplayLog
from qam_torch.types import Experience, QamError

Sizes = tuple[int, int, int, int]
"""P, E, O, A"""
SIZES: Sizes = (2, 3, 4, 2)


def experience(count: int, seed: int = 0, sizes: Sizes = SIZES) -> Experience:
    rng = np.random.default_rng(seed)
    p, e, o, a = sizes
    return Experience(
        observations=rng.normal(size=(count, p, e, o)).astype(np.float32),
        actions=rng.normal(size=(count, p, e, a)).astype(np.float32),
        rewards=rng.normal(size=(count, p, e)),
        masks=(rng.random((count, p, e)) > 0.5).astype(np.float32),
        begins=rng.random((count, p, e)) > 0.5,
        next_observations=rng.normal(size=(count, p, e, o)).astype(np.float32),
    )


def joined(pieces: list[Experience]) -> Experience:
    return Experience(*map(np.concatenate, zip(*pieces, strict=True)))


def assert_same(found: Experience, expected: Experience) -> None:
    for name, left, right in zip(Experience._fields, found, expected, strict=True):
        assert left.dtype == right.dtype and left.shape == right.shape and np.array_equal(left, right), name


def log_at(path: Path, sizes: Sizes = SIZES) -> ReplayLog:
    return ReplayLog(path, *sizes)


def written(path: Path, count: int, seed: int = 0) -> dict[str, int]:
    """A file of so many steps, and what a checkpoint remembers of it."""
    log = log_at(path)
    log.append(experience(count, seed))
    state = log.flush()
    log.close()
    return state


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 3, 4, 2), (3, 1, 5, 1), (2, 2, 3, 7)])
@pytest.mark.parametrize("block", [1, 400, 1 << 22])
def test_what_comes_back_is_what_came_in(
    tmp_path: Path, sizes: Sizes, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it was appended, and however many bytes are read at once."""
    monkeypatch.setattr(replay_log, "_BLOCK", block)
    pieces = [experience(count, seed, sizes) for seed, count in enumerate([1, 1, 5, 0, 12])]
    log = log_at(tmp_path / "new" / "replay.bin", sizes)
    for piece in pieces:
        log.append(piece)
    state = log.flush()
    log.close()
    assert state["steps"] == 19
    back = list(log_at(log.path, sizes).restore(state))
    assert len(back) == -(-19 // max(1, block // log.record.itemsize))
    assert_same(joined(back), joined(pieces))
    for field in (field for piece in back for field in piece):  # as torch wants them
        assert field.flags.writeable and field.flags.aligned and field.flags.c_contiguous


def test_nothing_collected_leaves_no_file(tmp_path: Path) -> None:
    log = log_at(tmp_path / "replay.bin")
    state = log.flush()
    log.close()
    assert not log.path.exists()
    again = log_at(log.path)
    assert list(again.restore(state)) == []
    again.append(experience(3))
    assert again.flush()["steps"] == 3


@pytest.mark.parametrize("restored", [True, False])
def test_a_new_run_does_not_go_on_behind_a_file_that_no_checkpoint_knows(tmp_path: Path, restored: bool) -> None:
    """Killed before its first save, or started again."""
    path = tmp_path / "replay.bin"
    written(path, 9, seed=1)
    log = log_at(path)
    if restored:
        assert list(log.restore({"steps": 0, "checksum": 0})) == []
    log.append(experience(4, seed=2))
    state = log.flush()
    assert_same(joined(list(log_at(path).restore(state))), experience(4, seed=2))
    assert path.stat().st_size == 4 * log.record.itemsize


@pytest.mark.parametrize("beyond", [0.0, 0.4, 1.0, 2.7, 6.0])
def test_what_a_kill_left_behind_the_checkpoint_is_cut_off(tmp_path: Path, beyond: float) -> None:
    """Also where the last record was half written; then the log goes on behind, and can be restored again."""
    path, rest, more = tmp_path / "replay.bin", experience(6, seed=1), experience(5, seed=2)
    state = written(path, 8)
    size, whole = path.stat().st_size, tmp_path / "whole.bin"
    longer = log_at(whole)
    for piece in (experience(8), rest):
        longer.append(piece)
    longer.flush()
    path.write_bytes(whole.read_bytes()[: size + int(beyond * longer.record.itemsize)])

    log = log_at(path)
    assert_same(joined(list(log.restore(state))), experience(8))
    assert path.stat().st_size == size
    log.append(more)
    later = log.flush()
    assert later["steps"] == 13
    both = joined([experience(8), more])
    assert_same(joined(list(log_at(path).restore(later))), both)
    longer = log_at(whole)
    longer.append(both)
    assert longer.flush() == later  # what is in the log counts, not how it was written
    assert path.read_bytes() == whole.read_bytes()


def remove(path: Path) -> None:
    path.unlink()


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def flip(place: float) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[int(place * (len(content) - 1))] ^= 16
        path.write_bytes(content)

    return damage


def rewrite(path: Path) -> None:
    written(path, 20, seed=3)


DAMAGES = {
    "missing": (remove, "No such file or directory"),
    "a directory": (replace_by_directory, "Is a directory"),
    "one byte less": (cut, "it has fewer than the recorded [0-9,]+ bytes"),
    "empty": (empty, "it has fewer than the recorded [0-9,]+ bytes"),
    "first byte": (flip(0.0), "its checksum differs"),
    "a byte": (flip(0.61), "its checksum differs"),
    "last byte": (flip(1.0), "its checksum differs"),
    "another run": (rewrite, "its checksum differs"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path, kind: str) -> None:
    damage, reason = DAMAGES[kind]
    path = tmp_path / "replay.bin"
    state = written(path, 20)
    damage(path)
    with pytest.raises(QamError, match=rf"^the replay buffer '{path}' .* \({reason}\): restore the file .*[^.]$"):
        list(log_at(path).restore(state))


@pytest.mark.parametrize("sizes", [(1, 3, 4, 2), (2, 1, 4, 2), (2, 3, 5, 2), (2, 3, 3, 2), (2, 3, 4, 3)])
def test_a_file_of_other_sizes_is_refused(tmp_path: Path, sizes: Sizes) -> None:
    path = tmp_path / "replay.bin"
    state = written(path, 20)
    content = path.read_bytes()
    with pytest.raises(QamError, match="does not belong to the checkpoint"):
        list(log_at(path, sizes).restore(state))
    assert path.read_bytes() == content  # nothing is lost by trying


def test_a_save_writes_what_is_new_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, sizes = tmp_path / "replay.bin", []

    def fsync(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    log = log_at(path)
    for seed, count in enumerate([3, 0, 500, 1, 40]):
        before = path.read_bytes() if path.exists() else b""
        log.append(experience(count, seed))
        log.flush()
        after = path.read_bytes()
        assert after[: len(before)] == before
        assert (
            len(after) == len(before) + count * log.record.itemsize == sizes[-1]
        )  # all of it was there to be brought to the disk
        path.write_bytes(bytes(byte ^ 255 for byte in after))  # were it written again, it would be as it was
    assert len(sizes) == 5


def full(*arguments: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


FULL = r"^could not write the replay buffer '.*replay\.bin' \(No space left on device\): free some disk space$"


def test_a_disk_that_is_full_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = log_at(tmp_path / "replay.bin")
    log.append(experience(3))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(QamError, match=FULL):
        log.flush()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("count", [3, 20_000])
def test_a_full_disk(tmp_path: Path, count: int) -> None:
    """Noticed when a few steps are flushed, or when many are appended; closing says nothing more."""
    path = tmp_path / "replay.bin"
    path.symlink_to("/dev/full")
    log = log_at(path)
    with pytest.raises(QamError, match=FULL):
        log.append(experience(count))
        assert log.steps == 3
        log.flush()
    log.close()
