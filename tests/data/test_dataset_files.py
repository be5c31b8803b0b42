"""Where files are found: official first, then generated and kept, else made or fetched, else a sentence says how."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from qam_torch.data import checksums
from qam_torch.data import dataset_files as sources
from qam_torch.data.catalog import CATALOG, DATASET_URL, CatalogEntry
from qam_torch.data.checksums import checksum
from qam_torch.data.dataset_files import dataset_checksum, dataset_path, ensure_dataset, generated_files, generated_path
from qam_torch.data.fetching import download
from qam_torch.data.ogbench_format import read_npz
from qam_torch.types import QamError
from tests.helpers.mirror_server import Mirror, npz, serving

NAME = "pointmaze-medium-navigate-v0"
SHARDED = "puzzle-4x4-play-100m-v0"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("QAM_DATA_MIRRORS", "http://127.0.0.1:1")


@pytest.fixture
def two_shards(monkeypatch: pytest.MonkeyPatch) -> CatalogEntry:
    """The catalog's entry SHARDED, cut down to two files."""
    entry = CATALOG[SHARDED]._replace(shards=2)
    monkeypatch.setattr(sources, "catalog_entry", lambda name: entry)
    return entry


@pytest.fixture
def cube() -> Iterator[Mirror]:
    with serving(Mirror({"cube-single-play-v0.npz": npz(0, 100), "cube-single-play-v0-val.npz": npz(1, 10)})) as mirror:
        yield mirror


def test_generated_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ensure_dataset(NAME, tmp_path, transitions=60, seed=7, workers=1)
    assert made.origin == "generated"
    assert made.path == tmp_path / "pointmaze-medium-navigate-v0.generated-60-seed7.npz"
    assert made.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert len(read_npz(made.path)["actions"]) == 61
    with monkeypatch.context() as patch:
        patch.setattr(sources, "generate", lambda *arguments: pytest.fail("generated again"))
        patch.setattr(checksums, "file_hash", lambda *arguments: pytest.fail("hashed again"))
        assert ensure_dataset(NAME, tmp_path, transitions=60, seed=7) == made
    assert ensure_dataset(NAME, tmp_path, transitions=60, seed=8, workers=1).path != made.path


def test_made_again_where_the_validation_file_is_missing(tmp_path: Path) -> None:
    made = ensure_dataset(NAME, tmp_path, transitions=60, workers=1)
    (validation,) = tmp_path.glob("*-val.npz")
    validation.unlink()
    assert ensure_dataset(NAME, tmp_path, transitions=60, workers=1) == made
    assert validation.is_file()


def test_official_file_is_preferred(tmp_path: Path) -> None:
    made = ensure_dataset(NAME, tmp_path, transitions=60, workers=1)
    official = dataset_path(NAME, tmp_path)
    official.write_bytes(b"as fetched")
    found = ensure_dataset(NAME, tmp_path, transitions=60)
    assert (found.path, found.origin) == (official, "official")
    assert found.sha256 != made.sha256


@pytest.mark.parametrize("name", ["pointmaze-giant-navigate-v0", "pointmaze-medium-stitch-v0"])
def test_point_mazes_are_made_rather_than_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    calls: list[tuple[object, ...]] = []

    def record(name: str, path: Path, *rest: object, keep: bool) -> None:
        calls.append((name, *rest, keep))
        path.write_bytes(b"")

    monkeypatch.setattr(sources, "generate", record)
    monkeypatch.setattr(sources, "fetch_dataset", lambda *arguments: pytest.fail("fetched"))
    ensure_dataset(name, tmp_path, transitions=60, seed=1, workers=2, download=True)
    assert calls == [(name, 60, 1, 2, None, True)]


def test_training_files_of_everything_else_are_fetched_where_allowed(tmp_path: Path, cube: Mirror) -> None:
    del cube.files["cube-single-play-v0-val.npz"]
    seen: list[tuple[str, int, int | None]] = []
    found = ensure_dataset(
        "cube-single-play-v0", tmp_path, download=True, mirrors=[cube.url], fetching=lambda *now: seen.append(now)
    )
    body = cube.files["cube-single-play-v0.npz"]
    assert found == (tmp_path / "cube-single-play-v0.npz", "official", hashlib.sha256(body).hexdigest())
    assert found.path.read_bytes() == body
    assert {file for file, _, _ in seen} == set(cube.files)
    assert ensure_dataset("cube-single-play-v0", tmp_path) == found
    assert len(cube.requests) == 1


def test_generated_file_is_trained_on_where_the_official_one_is_missing(tmp_path: Path, cube: Mirror) -> None:
    path = generated_path("cube-single-play-v0", tmp_path, 60, 3)
    for file in (path, path.with_name(f"{path.stem}-val.npz")):
        file.write_bytes(b"made here")
    found = ensure_dataset("cube-single-play-v0", tmp_path, 60, 3, download=True, mirrors=[cube.url])
    assert (found.path, found.origin) == (path, "generated")
    assert cube.requests == []
    assert (
        ensure_dataset("cube-single-play-v0", tmp_path, 60, 4, download=True, mirrors=[cube.url]).origin == "official"
    )


def test_changed_file_is_noticed(tmp_path: Path, cube: Mirror) -> None:
    path = ensure_dataset("cube-single-play-v0", tmp_path, download=True, mirrors=[cube.url]).path
    path.write_bytes(b"something else")
    with pytest.raises(QamError, match=r"cube-single-play-v0.npz has changed since its checksum was recorded"):
        ensure_dataset("cube-single-play-v0", tmp_path)


@pytest.mark.parametrize("download", [False, True])
def test_what_is_missing_says_what_to_fetch_or_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, download: bool
) -> None:
    def cannot(*_: object, **__: object) -> None:
        raise QamError("cannot fetch it")

    monkeypatch.setattr(sources, "fetch_dataset", cannot)

    def message(name: str) -> str:
        with pytest.raises(QamError) as caught:
            ensure_dataset(name, tmp_path, transitions=60, seed=2, download=download)
        return str(caught.value)

    def start(name: str, first: str) -> str:
        fetch = f"dataset '{name}' is not in {tmp_path}: fetch {DATASET_URL}/{first}"
        return "cannot fetch it" if download else fetch

    made = f"{tmp_path}/cube-triple-play-v0.generated-60-seed2.npz"
    make = f"qam-data generate cube-triple-play-v0 --transitions 60 --output {made} --seed 2"
    there = "" if download else " and put it there"
    assert message("cube-triple-play-v0") == (
        start("cube-triple-play-v0", "cube-triple-play-v0.npz")
        + f"{there}, or generate one with `{make}` and train with data.path={made}"
    )
    assert (
        message("antmaze-large-navigate-v0")
        == start("antmaze-large-navigate-v0", "antmaze-large-navigate-v0.npz") + there
    )
    assert message(SHARDED).startswith(start(SHARDED, f"{SHARDED}/puzzle-4x4-play-v0-000.npz"))
    assert f"data.path={tmp_path}/{SHARDED}.generated-60-seed2" in message(SHARDED)
    octuple = message("cube-octuple-play-v0")
    assert octuple.startswith(
        f"dataset 'cube-octuple-play-v0' is not in {tmp_path}: generate one with `qam-data generate"
    )
    assert list(tmp_path.iterdir()) == []


def test_sentence_of_a_download_that_failed_names_mirror_file_and_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "WAITS", ())
    with pytest.raises(QamError) as caught:
        ensure_dataset("antmaze-large-navigate-v0", tmp_path, download=True)
    file = "antmaze-large-navigate-v0.npz"
    assert str(caught.value) == (
        f"cannot fetch http://127.0.0.1:1/{file} (connection refused): fetch {DATASET_URL}/{file} by hand "
        f"and put it at {tmp_path}/{file}, or name another mirror with QAM_DATA_MIRRORS"
    )


def test_error_for_an_unknown_name_has_the_nearest_one(tmp_path: Path) -> None:
    with pytest.raises(QamError, match=r"unknown dataset 'pointmaze-huge-navigate-v0': .*pointmaze-large-navigate-v0"):
        ensure_dataset("pointmaze-huge-navigate-v0", tmp_path, download=True)


def test_sharded_set_is_a_directory_with_all_its_training_files(tmp_path: Path, two_shards: CatalogEntry) -> None:
    folder = dataset_path(SHARDED, tmp_path)
    assert folder == tmp_path / SHARDED
    folder.mkdir()
    (tmp_path / two_shards.files[0]).write_bytes(b"first")
    with pytest.raises(QamError, match="is not in"):
        ensure_dataset(SHARDED, tmp_path)
    (tmp_path / two_shards.files[1]).write_bytes(b"second")
    found = ensure_dataset(SHARDED, tmp_path)
    assert (found.path, found.origin) == (folder, "official")
    assert found.sha256 == dataset_checksum(folder)


def test_directorys_checksum_knows_names_and_contents(tmp_path: Path, two_shards: CatalogEntry) -> None:
    """And nothing that changes while no byte of the data does."""
    folder = tmp_path / SHARDED
    folder.mkdir()
    first, second, validation = (tmp_path / two_shards.files[i] for i in range(3))
    for file in (first, second, validation):
        file.write_bytes(b"12345")
    known = dataset_checksum(folder)
    validation.write_bytes(b"other validation episodes")
    checksum(first)
    os.utime(second, ns=(1, 1))
    assert dataset_checksum(folder) == known
    second.write_bytes(b"12354")
    assert dataset_checksum(folder) != known


def test_generated_shards_are_as_many_as_their_transitions_need(tmp_path: Path) -> None:
    for transitions, needed in ((60, 1), (1_000_000, 1), (1_000_001, 2)):
        folder = generated_path(SHARDED, tmp_path, transitions, 0)
        folder.mkdir()
        for number in range(needed):
            (folder / f"puzzle-4x4-play-v0-{number:03d}.npz").write_bytes(b"training")
            with pytest.raises(QamError, match="is not in"):
                ensure_dataset(SHARDED, tmp_path, transitions)
            (folder / f"puzzle-4x4-play-v0-{number:03d}-val.npz").write_bytes(b"validation")
        assert ensure_dataset(SHARDED, tmp_path, transitions)[:2] == (folder, "generated")


def test_generated_files_are_found_by_their_names(tmp_path: Path) -> None:
    entry = CATALOG["cube-single-play-v0"]
    for transitions, seed in ((60, 3), (900, 0), (60, 0)):
        path = generated_path(entry.name, tmp_path, transitions, seed)
        for file in (path, path.with_name(f"{path.stem}-val.npz")):
            file.write_bytes(b"")
    (tmp_path / f"{entry.name}.generated-70-seed0.npz").write_bytes(b"its validation file is missing")
    dataset_path(entry.name, tmp_path).write_bytes(b"official")
    found = generated_files(entry, tmp_path)
    assert [(transitions, seed) for _, transitions, seed in found] == [(900, 0), (60, 0), (60, 3)]
    assert found[2][0] == generated_path(entry.name, tmp_path, 60, 3)


def test_home_is_expanded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert dataset_path(NAME) == tmp_path / ".ogbench" / "data" / f"{NAME}.npz"
    assert dataset_path(SHARDED) == tmp_path / ".ogbench" / "data" / SHARDED
