"""Generated datasets: the same bytes whatever the workers, interruptions and damage; and OGBench reads them."""

from __future__ import annotations

import errno
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import ogbench
import pytest

from qam_torch.data.catalog import CatalogEntry
from qam_torch.data.generation import episode_files
from qam_torch.data.generation import generate as generate_module
from qam_torch.data.generation.episode_files import EpisodeFiles, EpisodeNotWritten
from qam_torch.data.generation.file_plan import episode_lengths
from qam_torch.data.generation.generate import generate
from qam_torch.data.generation.pointmaze import NavigateEpisode, StitchEpisode
from qam_torch.data.generation.workers import make_episodes
from qam_torch.data.ogbench_format import file_hash, read_npz, validation_path
from qam_torch.types import QamError

NAVIGATE, STITCH = "pointmaze-medium-navigate-v0", "pointmaze-medium-stitch-v0"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def hashes(path: Path) -> tuple[str, str]:
    return file_hash(path), file_hash(validation_path(path))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "transitions"), [(STITCH, 2400), ("cube-single-noisy-v0", 60)])
def test_files_do_not_depend_on_the_workers(tmp_path: Path, name: str, transitions: int) -> None:
    before: Any = np.random.get_state()
    for count in (1, 2):
        generate(name, tmp_path / f"{count}.npz", transitions, seed=3, workers=count)
    after: Any = np.random.get_state()
    np.testing.assert_array_equal(after[1], before[1])
    assert after[2] == before[2]
    assert hashes(tmp_path / "1.npz") == hashes(tmp_path / "2.npz")
    assert names(tmp_path) == ["1-val.npz", "1.npz", "2-val.npz", "2.npz"]
    generate(name, tmp_path / "other.npz", transitions, seed=4, workers=1)
    assert hashes(tmp_path / "other.npz") != hashes(tmp_path / "1.npz")


@pytest.mark.parametrize(
    ("name", "transitions", "ends"),
    [
        (NAVIGATE, 1500, [749, 1499]),
        ("pointmaze-giant-navigate-v0", 2000, [1999]),
        ("pointmaze-teleport-stitch-v0", 300, [149, 299]),
        ("cube-double-play-v0", 200, [199]),
        ("scene-noisy-v0", 200, [199]),
        ("puzzle-3x3-play-v0", 200, [199]),
    ],
)
@pytest.mark.slow
def test_ogbench_reads_the_files(tmp_path: Path, name: str, transitions: int, ends: list[int]) -> None:
    path, seen = tmp_path / "x.npz", []
    generate(name, path, transitions, workers=1, progress=lambda *counts: seen.append(counts))
    length = ends[0] + 1
    assert seen == [(made, transitions + length) for made in range(length, transitions + length + 1, length)]
    single_task = name.replace("-v0", "-singletask-task1-v0")
    env, train, val = ogbench.make_env_and_datasets(single_task, dataset_path=str(path))
    assert env.observation_space.shape is not None and env.action_space.shape is not None
    sizes = env.observation_space.shape[0], env.action_space.shape[0]
    assert (train["observations"].shape, train["actions"].shape) == ((transitions, sizes[0]), (transitions, sizes[1]))
    assert val["actions"].shape == (length, sizes[1])
    np.testing.assert_array_equal(np.flatnonzero(train["terminals"]), ends)
    read = read_npz(path, *sizes)
    assert np.abs(read["actions"]).max() <= 1
    assert np.flatnonzero(read["terminals"]).tolist() == [end + 1 + number for number, end in enumerate(ends)]


def test_full_episodes_have_ogbenchs_length() -> None:
    assert episode_lengths(200_000, 1000) == [1000] * 200
    assert episode_lengths(1000, 1000) == [1000]
    assert episode_lengths(2001, 1000) == [667] * 3
    assert episode_lengths(1001, 1000) == [501, 500]
    assert episode_lengths(1001, 200) == [167] * 5 + [166]
    assert episode_lengths(7, 1000) == [7]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_ended_run_leaves_its_episodes_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    path, whole = tmp_path / "x.npz", tmp_path / "whole" / "x.npz"
    script = Path(__file__).parents[1] / "helpers" / "interrupted_generation.py"
    with subprocess.Popen(
        [sys.executable, script, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        for _ in range(4):
            run.stdout.readline()
        run.send_signal(number)
        run.communicate(timeout=30)  # until its workers, which share its standard error, are gone too
    assert run.returncode == -number
    (parts,) = (entry for entry in tmp_path.iterdir() if entry.suffix != ".lock")  # neither file
    kept = sorted((parts / "000").glob("*.episode"), key=lambda file: int(file.stem))
    assert 4 <= len(kept) < 33
    content = kept[0].read_bytes()
    kept[0].write_bytes(content[: len(content) // 2])
    kept[1].write_bytes(kept[1].read_bytes()[:-9] + b"something")
    kept[2].write_bytes(b"")

    made: list[int] = []
    original = StitchEpisode.__call__

    def spy(self: StitchEpisode, seed: int, index: int, rows: int) -> Any:
        made.append(index)
        return original(self, seed, index, rows)

    monkeypatch.setattr(StitchEpisode, "__call__", spy)
    generate(STITCH, path, 6000, workers=1)
    assert sorted(made) == sorted(set(range(33)) - {int(file.stem) for file in kept[3:]})
    assert names(tmp_path) == ["x-val.npz", "x.npz"]
    generate(STITCH, whole, 6000, workers=1)
    assert hashes(path) == hashes(whole)


class Interrupt(Exception):
    """From outside, while episodes are made."""


def interrupt_after(transitions: int) -> Any:
    def progress(made: int, total: int) -> None:
        if made > transitions:
            raise Interrupt

    return progress


def test_unfinished_work_of_another_seed_is_not_used(tmp_path: Path) -> None:
    with pytest.raises(Interrupt):
        generate(NAVIGATE, tmp_path / "x.npz", 300, seed=0, workers=1, progress=interrupt_after(200))
    assert len(names(tmp_path)) == 1
    generate(NAVIGATE, tmp_path / "x.npz", 300, seed=1, workers=1)
    assert names(tmp_path) == ["x-val.npz", "x.npz"]
    generate(NAVIGATE, tmp_path / "y.npz", 300, seed=1, workers=1)
    assert hashes(tmp_path / "x.npz") == hashes(tmp_path / "y.npz")


def test_two_at_once_make_it_once(tmp_path: Path) -> None:
    path, steps, results = tmp_path / "x.npz", [], []

    def make() -> None:
        results.append(generate(STITCH, path, 1000, workers=1, progress=lambda made, _: steps.append(made), keep=True))

    both = [threading.Thread(target=make) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert sorted(results) == [False, True]
    assert steps == sorted(set(steps))
    assert names(tmp_path) == ["x-val.npz", "x.npz"]


def test_what_a_kill_left_beside_a_whole_set_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npz"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)
        assert generate(NAVIGATE, path, 20, workers=1)
    before = path.stat()
    for file in (".x.npz.123.tmp", ".x-val.npz.123.tmp", ".x.npz.lock", ".y.npz.123.tmp"):
        (tmp_path / file).touch()
    (tmp_path / ".y.npz.parts-0").mkdir()
    assert len(names(tmp_path)) == 8
    assert not generate(NAVIGATE, path, 20, workers=1, keep=True)
    assert names(tmp_path) == [".y.npz.123.tmp", ".y.npz.parts-0", "x-val.npz", "x.npz"]
    assert path.stat() == before


def test_shards_are_made_one_after_the_other_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = CatalogEntry("pointmaze-medium-navigate-100m-v0", "pointmaze-medium-v0", "navigate", 2, 100, shards=4)
    monkeypatch.setattr(generate_module, "catalog_entry", lambda name: entry)
    path = tmp_path / entry.name
    with pytest.raises(Interrupt):
        generate(entry.name, path, 500, workers=1, progress=interrupt_after(600))
    first, second = path / "pointmaze-medium-navigate-v0-000.npz", path / "pointmaze-medium-navigate-v0-001.npz"
    inodes = first.stat().st_ino, second.stat().st_ino
    content = second.read_bytes()
    second.write_bytes(content[:-1])
    generate(entry.name, path, 500, workers=1)
    assert first.stat().st_ino == inodes[0] and second.read_bytes() == content
    assert names(tmp_path) == [entry.name]
    assert names(path) == sorted(
        f"pointmaze-medium-navigate-v0-00{number}{end}.npz" for number in range(3) for end in ("", "-val")
    )
    arrays = [read_npz(file) for file in sorted(path.iterdir())]  # a validation file before its training file
    assert [int((~file["terminals"]).sum()) for file in arrays] == [84, 167, 84, 167, 83, 166]
    assert len({file["observations"][0].tobytes() for file in arrays}) == 6


def test_a_dead_worker_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    processes: list[subprocess.Popen] = []
    original = subprocess.Popen

    def spy(*arguments: Any, **options: Any) -> Any:
        processes.append(original(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", spy)
    with pytest.raises(QamError, match="a worker that generates data died .*status -9"):
        generate(NAVIGATE, tmp_path / "x.npz", 20_000, workers=2, progress=lambda *_: processes[0].kill())
    assert len(processes) == 2 and all(process.poll() is not None for process in processes)
    assert not (tmp_path / "x.npz").exists()


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(EpisodeNotWritten, match="File exists"):  # reported by a worker process
        list(make_episodes(EpisodeFiles(tmp_path / "taken", NavigateEpisode("medium"), 0), [(0, 2), (1, 2)], workers=2))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(episode_files, "_write", full)
    with pytest.raises(QamError, match="cannot write dataset .*No space left on device.*free some space"):
        generate(NAVIGATE, tmp_path / "x.npz", 10, workers=1)


def test_workers_do_without_torch() -> None:
    code = """
import sys
from qam_torch.data.generation import manipulation, pointmaze, workers
pointmaze.NavigateEpisode("medium")(0, 0, 2)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        (NAVIGATE, {"transitions": 0}, "transitions=0 is out of range"),
        (NAVIGATE, {"transitions": 10**12}, "transitions=1000000000000 is out of range: give at most 20,000,000"),
        (NAVIGATE, {"seed": -1}, "seed=-1 is out of range"),
        (NAVIGATE, {"workers": 0}, "workers=0 is out of range"),
        ("cube-octuple-play-100m-v0", {"transitions": 10**8 + 1}, "transitions=100000001 is out of range"),
        ("pointmaze-huge-navigate-v0", {}, "unknown dataset 'pointmaze-huge-navigate-v0': the nearest names are"),
        ("antmaze-large-navigate-v0", {}, "takes trained experts, .* fetch https://.*/antmaze-large-navigate-v0.npz"),
        ("humanoidmaze-medium-stitch-v0", {}, "'humanoidmaze-medium-stitch-v0' cannot be generated"),
        ("antsoccer-arena-navigate-v0", {}, "'antsoccer-arena-navigate-v0' cannot be generated"),
        ("visual-cube-single-play-v0", {}, "contains images"),
    ],
)
def test_bad_arguments(tmp_path: Path, name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(QamError, match=sentence):
        generate(name, tmp_path / "x.npz", **options)
    assert names(tmp_path) == []


def test_paths_of_the_wrong_kind(tmp_path: Path) -> None:
    with pytest.raises(QamError, match="needs a file, this is a directory"):
        generate(NAVIGATE, tmp_path)
    (tmp_path / "x").touch()
    with pytest.raises(QamError, match="needs a directory, this is a file"):
        generate("cube-octuple-play-100m-v0", tmp_path / "x")
    with pytest.raises(QamError, match="cannot write dataset"):
        generate(NAVIGATE, tmp_path / "x" / "y.npz")
    assert names(tmp_path) == ["x"]
