"""Files that take turns: which, when, from which thread, and how many at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qam_torch.data.datamodule import TrainingData
from qam_torch.data.shards import NICENESS, Rotation, Shards
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import Batch, QamError
from tests.helpers.random_episodes import episodes

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = [[9, 8], [7], [5, 6, 7], [12], [4, 30], [6, 6]]
Load = Callable[[Path], Transitions]


def number(path: Path) -> int:
    return int(path.stem)


def load(path: Path) -> Transitions:
    return episodes(LENGTHS[number(path)], seed=number(path))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"{i}.npz" for i in range(len(LENGTHS))]
    for i, path in enumerate(made):
        path.write_bytes(b"x" * i)
    return made


def offline(shards: Shards | Transitions, updates: int = 10**9, **options: Any) -> TrainingData:
    arguments = {"horizon_length": 3, "discount": 0.9, "batch_size": 5, "seeds": (1, 2), "num_steps": 1, **options}
    return TrainingData(transitions=shards, plan=lambda done: max(0, min(4, updates - done)), **arguments)


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("reader of")]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    for thread in readers():
        thread.join()


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def test_turns(files: list[Path]) -> None:
    shards = Shards(files[:3], load, shard_every=4)
    assert [number(shards.file(update)) for update in range(14)] == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 0, 0]
    assert [shards.next_swap(update) for update in range(9)] == [4, 4, 4, 4, 8, 8, 8, 8, 12]


@pytest.mark.parametrize("steps", [[1] * 40, [40], [3, 7, 1, 12, 9, 8], [5] * 8])
def test_every_update_draws_from_its_shard_however_they_are_grouped(files: list[Path], steps: list[int]) -> None:
    data = offline(Shards(files, load, shard_every=5))
    pieces = [data.draw(updates) for updates in steps]
    assert [len(piece.rewards) for piece in pieces] == steps
    drawn = Batch(*map(torch.cat, zip(*pieces, strict=True)))
    again = offline(load(files[0]))
    for update in range(40):
        again.sampler.windows = ChunkWindows(load(files[update // 5 % 6]), 3, 0.9)
        assert same(drawn.update(update), again.sampler.sample().update(0)), update


def test_the_next_shard_is_read_in_a_humble_thread_while_this_one_is_drawn_from(files: list[Path]) -> None:
    main, go = threading.get_ident(), threading.Event()
    seen: list[tuple[int, bool, int]] = []

    def slow(path: Path) -> Transitions:
        seen.append((number(path), threading.get_ident() == main, os.getpriority(os.PRIO_PROCESS, 0)))
        assert threading.get_ident() == main or go.wait(60)
        return load(path)

    before = os.getpriority(os.PRIO_PROCESS, 0)
    data = offline(Shards(files, slow, shard_every=5))
    assert [entry[0] for entry in seen] == [0]
    data.draw(1)
    data.draw(4)  # nothing waits for the reader
    assert len(readers()) == 1
    go.set()
    data.draw(5)
    data.close()
    assert [entry[:2] for entry in seen] == [(0, True), (1, False), (2, False)]
    if sys.platform == "linux":
        assert [entry[2] for entry in seen] == [before, NICENESS, NICENESS]
        assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_two_shards_are_held_at_most_and_one_when_the_next_is_begun(files: list[Path]) -> None:
    alive: weakref.WeakSet[Transitions] = weakref.WeakSet()
    before, after = [], []

    def counted(path: Path) -> Transitions:
        before.append(len(alive))
        transitions = load(path)
        alive.add(transitions)
        after.append(len(alive))
        return transitions

    data = offline(Shards(files, counted, shard_every=5))
    for _ in range(40):
        data.draw(1)
    data.close()
    assert before == [0] + [1] * 8
    assert after == [1] + [2] * 8
    assert len(alive) == 1


def test_one_file_stays_and_nothing_goes_on_in_the_background(files: list[Path]) -> None:
    loaded: list[Path] = []
    data = offline(Shards(files[:1], lambda path: loaded.append(path) or load(path), shard_every=5))  # type: ignore[func-returns-value]
    resident = offline(load(files[0]))
    for updates in (3, 9, 4):
        assert same(data.draw(updates), resident.draw(updates))
        assert not readers()
    assert loaded == files[:1]


def test_nothing_is_read_that_the_run_does_not_reach(files: list[Path]) -> None:
    loaded: list[int] = []
    data = offline(Shards(files, lambda path: loaded.append(number(path)) or load(path), shard_every=5), updates=10)  # type: ignore[func-returns-value]
    for _ in range(10):
        data.draw(1)
    assert not readers()
    assert loaded == [0, 1]


@pytest.mark.parametrize("error", [QamError("data file 1.npz is truncated: fetch it again"), MemoryError("none left")])
def test_what_goes_wrong_in_the_background_is_raised_at_the_swap(files: list[Path], error: Exception) -> None:
    def failing(path: Path) -> Transitions:
        if number(path) == 1:
            raise error
        return load(path)

    data = offline(Shards(files, failing, shard_every=5))
    data.draw(5)
    with pytest.raises(type(error), match=str(error)) as caught:
        data.draw(1)
    assert caught.value is error
    assert not readers()


def test_every_shard_must_hold_whole_chunks_of_the_first_ones_sizes(files: list[Path]) -> None:
    data = offline(Shards(files, load, shard_every=5), horizon_length=8)  # shard 1 has none of 8 steps
    data.draw(5)
    with pytest.raises(
        QamError, match=r"data file .*1\.npz: algo.horizon_length=8 exceeds the longest episode \(7 steps\)"
    ):
        data.draw(1)

    def wider(path: Path) -> Transitions:
        transitions = load(path)
        if number(path) == 1:
            transitions.actions = transitions.actions.repeat(1, 2)
        return transitions

    data = offline(Shards(files, wider, shard_every=5))
    with pytest.raises(QamError, match=r"1\.npz has .* of sizes \(2, 4\) but earlier files \(2, 2\)"):
        data.draw(6)


def test_close_ends_the_thread_and_may_be_repeated(files: list[Path]) -> None:
    def slow(path: Path) -> Transitions:
        time.sleep(0.05)
        return load(path)

    data, undisturbed = offline(Shards(files, slow, shard_every=5)), offline(Shards(files, load, shard_every=5))
    for _ in range(4):  # wherever it is closed, what follows is the same
        assert same(data.draw(4), undisturbed.draw(4))
        assert readers()
        data.close()
        data.close()
        assert not [thread for thread in readers() if thread in data_threads(data)]


def data_threads(data: TrainingData) -> list[threading.Thread]:
    assert data.rotation is not None
    return [] if data.rotation._ahead is None else [data.rotation._ahead]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"files": []}, "there are no data files"),
        ({"files": ["nowhere/3.npz"]}, "data file nowhere/3.npz does not exist"),
        ({"shard_every": 0}, "shard_every=0 is out of range"),
    ],
)
def test_bad_arguments(files: list[Path], changes: dict[str, Any], sentence: str) -> None:
    options: dict[str, Any] = {"files": files, "load": load, "shard_every": 5, **changes}
    with pytest.raises(QamError, match=sentence):
        Shards(**options)


def test_fingerprint_tells_other_files_and_turns_apart_but_not_another_directory(
    files: list[Path], tmp_path: Path
) -> None:
    own = Shards(files, load, 5).fingerprint
    moved = []
    (tmp_path / "moved").mkdir()
    for path in files:
        moved.append(tmp_path / "moved" / path.name)
        moved[-1].write_bytes(path.read_bytes())
    assert Shards(moved, load, 5).fingerprint == own
    moved[2].write_bytes(b"another size")
    others = [Shards(moved, load, 5), Shards(files[::-1], load, 5), Shards(files[:-1], load, 5), Shards(files, load, 6)]
    assert own not in [other.fingerprint for other in others]


# Whole processes

RUN = """
import os, sys, time
from functools import partial
from qam_torch.data.shards import Rotation, Shards
from qam_torch.data.windows import ChunkWindows
from tests.helpers.random_episodes import episodes

def load(path):
    if path.stem != "0":
        os.write(1, b"reading\\n")
        time.sleep({seconds})
    return episodes([9, 8])

rotation = Rotation(Shards(sys.argv[1:], load, 5), partial(ChunkWindows, horizon_length=3, discount=0.9))
windows = rotation.take(0)
rotation.read_ahead(0)
{then}
"""


def process(files: list[Path], then: str, seconds: float = 0.5) -> subprocess.Popen[str]:
    program = RUN.format(then=then, seconds=seconds)
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, files)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("then", "code", "last"),
    [("sys.exit(3)", 3, ""), ("raise ValueError('no')", 1, "ValueError: no")],
)
def test_a_process_that_ends_while_a_shard_is_read_just_ends(
    files: list[Path], then: str, code: int, last: str
) -> None:
    child = process(files, then)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == code
    assert errors.strip().endswith(last)
    assert errors.count("Traceback") == (last != "")


@pytest.mark.slow
def test_an_interrupt_gets_through_to_training_that_waits_for_a_shard(files: list[Path]) -> None:
    child = process(files, "os.write(1, b'waiting\\n'); rotation.take(5)", seconds=3)
    assert child.stdout is not None
    assert {child.stdout.readline().strip() for _ in range(2)} == {"reading", "waiting"}
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert errors.count("Traceback") == 1
    assert errors.strip().endswith("KeyboardInterrupt")


MEMORY = """
import resource, sys
import numpy as np
from qam_torch.data.datamodule import TrainingData
from qam_torch.data.shards import Shards
from qam_torch.data.transitions import Transitions

def load(path):
    with np.load(path) as file:
        reached = file["qpos"][:, 0] > 0.5
        arrays = {"terminals": file["terminals"], "observations": file["observations"], "actions": file["actions"]}
    masks = 1 - reached[~arrays["terminals"]].astype(np.float32)
    return Transitions.from_ogbench(arrays, -masks, masks)

data = TrainingData(transitions=Shards(sys.argv[1:], load, 5), horizon_length=5, discount=0.9, batch_size=5,
                   seeds=(1,), plan=lambda done: 1, num_steps=1)
for _ in range(31):
    data.draw(1)
data.close()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the resident size is counted in another unit elsewhere")
@pytest.mark.slow
def test_a_rotation_takes_one_shard_more_than_a_single_one(tmp_path: Path) -> None:
    rows = 301 * 500
    terminals = np.arange(rows) % 301 == 300
    arrays = {
        "observations": np.zeros((rows, 60), np.float32),
        "actions": np.zeros((rows, 5), np.float32),
        "qpos": np.zeros((rows, 60), np.float32),
        "terminals": terminals,
    }
    np.savez_compressed(tmp_path / "0.npz", **arrays)
    files = [tmp_path / f"{i}.npz" for i in range(6)]
    for file in files[1:]:
        os.link(files[0], file)
    peaks = [
        int(subprocess.run([sys.executable, "-c", MEMORY, *map(str, some)], capture_output=True, check=True).stdout)
        for some in (files[:1], files)
    ]
    windows = ChunkWindows(Transitions.from_ogbench(arrays, np.zeros(150_000), np.ones(150_000)), 5, 0.9)
    held = [*vars(windows.transitions).values(), windows.table.rows, windows.table.columns]
    shard = sum({id(tensor): tensor.nbytes for tensor in held if isinstance(tensor, torch.Tensor)}.values())
    assert shard > 45e6
    assert peaks[1] - peaks[0] < shard + 25e6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_rotation_on_the_gpu_draws_what_resident_shards_give(files: list[Path]) -> None:
    def on_gpu(path: Path) -> Transitions:
        rng = np.random.default_rng(number(path))
        rows = 300_000
        raw = {"observations": rng.normal(size=(rows, 20)), "actions": rng.uniform(-1, 1, (rows, 5)),
               "terminals": np.arange(rows) % 100 == 99}  # fmt: skip
        count = rows - rows // 100
        return Transitions.from_ogbench(raw, rng.normal(size=count), np.ones(count), device="cuda")

    data, again = offline(Shards(files, on_gpu, shard_every=5)), offline(on_gpu(files[0]))
    resident = [ChunkWindows(on_gpu(path), 3, 0.9) for path in files]
    for update in range(40):
        again.sampler.windows = resident[update // 5 % 6]
        assert same(data.draw(1), again.draw(1)), update


def test_rotation_gives_up_what_it_read_ahead_when_another_shard_is_wanted(files: list[Path]) -> None:
    rotation = Rotation(Shards(files, load, 5), partial(ChunkWindows, horizon_length=3, discount=0.9))
    first = rotation.take(0)
    rotation.read_ahead(0)
    third = rotation.take(12)
    assert not readers()
    assert (first.num_starts, third.num_starts) == (9 + 8 - 2, 5 + 6 + 7 - 2)
    assert rotation.file == files[2]
