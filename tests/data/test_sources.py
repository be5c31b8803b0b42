"""Where files are found: official first, then generated and kept, else a sentence that says what to fetch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from qam_torch.data import sources
from qam_torch.data.files import read_npz
from qam_torch.data.sources import dataset_path, ensure_dataset
from qam_torch.types import QamError

NAME = "pointmaze-medium-navigate-v0"


def test_generated_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ensure_dataset(NAME, tmp_path, transitions=60, seed=7, workers=1)
    assert made.origin == "generated"
    assert made.path == tmp_path / "pointmaze-medium-navigate-v0.generated-60-seed7.npz"
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert len(read_npz(made.path)["actions"]) == 61
    with monkeypatch.context() as patch:
        patch.setattr(sources, "generate_pointmaze", lambda *arguments: pytest.fail("generated again"))
        assert ensure_dataset(NAME, tmp_path, transitions=60, seed=7) == made
    assert ensure_dataset(NAME, tmp_path, transitions=60, seed=8, workers=1).path != made.path


def test_official_file_is_preferred(tmp_path: Path) -> None:
    made = ensure_dataset(NAME, tmp_path, transitions=60, workers=1)
    official = dataset_path(NAME, tmp_path)
    official.write_bytes(b"as fetched")
    found = ensure_dataset(NAME, tmp_path, transitions=60)
    assert (found.path, found.origin) == (official, "official")
    assert found.sha256 != made.sha256


def test_maze_is_taken_from_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []

    def record(path: Path, *rest: object) -> None:
        calls.append(rest)
        path.write_bytes(b"")

    monkeypatch.setattr(sources, "generate_pointmaze", record)
    ensure_dataset("pointmaze-giant-navigate-v0", tmp_path, transitions=60, seed=1, workers=2)
    assert calls == [("giant", 60, 1, 2, None)]


@pytest.mark.parametrize("name", ["cube-triple-play-v0", "pointmaze-medium-stitch-v0", "pointmaze-huge-navigate-v0"])
def test_what_cannot_be_made_says_what_to_fetch(tmp_path: Path, name: str) -> None:
    with pytest.raises(QamError, match=f"fetch https://rail.eecs.berkeley.edu/datasets/ogbench/{name}.npz") as caught:
        ensure_dataset(name, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert dataset_path("x-v0") == tmp_path / ".ogbench" / "data" / "x-v0.npz"
