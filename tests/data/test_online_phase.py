"""The online phase in the data module: what happens in which order, and that a continued run draws the same."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qam_torch.data.datamodule import TrainingData
from qam_torch.data.online_phase import OnlinePhase
from qam_torch.data.replay_buffer import MODES, ReplayWindows
from qam_torch.data.replay_log import ReplayLog
from qam_torch.data.shards import Shards
from qam_torch.data.transitions import Transitions
from qam_torch.types import Batch, Experience, QamError

SEEDS, ENVIRONMENTS, HORIZON = (1, 2), 2, 3
ONLINE = 10_000
"""The first collected state; the dataset's are below."""


def transitions(count: int, first: int = 0) -> Transitions:
    """Every state is its number, so that a batch says what it was drawn from."""
    states = np.arange(first, first + count, dtype=np.float32)[:, None]
    return Transitions.from_arrays(
        observations=states,
        next_observations=states + 1,
        actions=np.zeros((count, 1), np.float32),
        rewards=np.zeros(count, np.float32),
        masks=np.ones(count, np.float32),
        terminals=np.arange(count) % 10 == 9,
    )


class Counter:
    """A collector whose states are the time, in episodes of nine steps."""

    def __init__(self, environments: int) -> None:
        self.lead = (1, len(SEEDS), environments)
        self.time = np.zeros(self.lead, np.int64)
        self.fails_at: int | None = None
        self.closed = False

    def collect(self) -> Experience:
        time = int(self.time.max())
        if time == self.fails_at:
            raise QamError("the environment failed")
        states = (ONLINE + self.time).astype(np.float32)[..., None]
        self.time = self.time + 1
        return Experience(
            observations=states,
            actions=states / 2**15,
            rewards=np.full(self.lead, 0.1 * time),
            masks=np.full(self.lead, float(time % 9 != 8), np.float32),
            begins=np.full(self.lead, time % 9 == 0),
            next_observations=states + 1,
        )

    def state_dict(self) -> dict[str, Any]:
        return {"time": self.time, "more": [{"name": "counter"}, self.time[0]]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        assert isinstance(state_dict["time"], np.ndarray) and isinstance(state_dict["more"][1], np.ndarray)
        self.time = np.array(state_dict["time"])

    def close(self) -> None:
        self.closed = True


class Run:
    """A data module with its parts: offline steps in threes, online ones in as many as there are environments."""

    def __init__(
        self,
        path: Path,
        *,
        source: Transitions | Shards | None = None,
        offline_steps: int = 6,
        start_training: int = 1,
        per_step: int = 1,
        environments: int = ENVIRONMENTS,
        capacity: int = 100,
        mode: str = "append",
        batch_size: int = 6,
        online: bool = True,
    ) -> None:
        self.offline_steps, self.environments = offline_steps, environments
        self.start_training, self.per_step = start_training, per_step
        self.collector = Counter(environments)
        self.log = ReplayLog(path, len(SEEDS), environments, 1, 1)
        self.phase = OnlinePhase(
            offline_steps=offline_steps,
            steps_each=environments,
            updates=self.updates,
            collector=self.collector,
            log=self.log,
            make_windows=partial(ReplayWindows, members=len(SEEDS), streams=environments, capacity=capacity, mode=mode),
        )
        self.data = TrainingData(
            transitions=transitions(40) if source is None else source,
            horizon_length=HORIZON,
            discount=0.9,
            batch_size=batch_size,
            seeds=SEEDS,
            plan=self.plan,
            num_steps=1,
            online=self.phase if online else None,
        )

    def updates(self, step: int) -> int:
        """One step's worth for each online step from `start_training` on."""
        online = max(0, step - self.offline_steps)
        return min(step, self.offline_steps) + self.per_step * max(0, online - self.start_training + 1)

    def plan(self, step: int) -> int:
        return min(3, self.offline_steps - step) if step < self.offline_steps else self.environments

    def draw(self) -> Batch:
        """A trainer step's batches."""
        return self.data.draw(self.plan(self.data.step))


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(left, right) for left, right in zip(one, other, strict=True))


def saved(state: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def loaded(content: bytes) -> dict[str, Any]:
    return torch.load(io.BytesIO(content), weights_only=True)


@pytest.mark.parametrize("mode", MODES)
def test_act_then_store_then_draw(tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, events = Run(tmp_path / "replay.bin", offline_steps=0, start_training=2 * HORIZON, mode=mode), []

    def noted(owner: Any, name: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def call(*arguments: Any) -> Any:
            events.append(name)
            return function(*arguments)

        monkeypatch.setattr(owner, name, call)

    noted(run.collector, "collect")
    noted(run.log, "append")
    noted(ReplayWindows, "add")
    noted(ReplayWindows, "draw")
    for _ in range(HORIZON - 1):
        run.draw()
    assert events == ["collect", "append", "add"] * (HORIZON - 1)
    events.clear()
    run.draw()
    assert events[:3] == ["collect", "append", "add"]
    assert set(events[3:]) == {"draw"}


@pytest.mark.parametrize("mode", MODES)
def test_the_newest_transition_is_in_the_very_next_batch(tmp_path: Path, mode: str) -> None:
    """At the end of a window, once h transitions have come; batches are so large that nothing is missed."""
    start = 1 if mode == "append" else HORIZON
    run = Run(
        tmp_path / "replay.bin", offline_steps=0, environments=1, start_training=start, batch_size=2000, mode=mode
    )
    for made in range(1, 30):
        batch = run.draw()
        states = batch.observations.squeeze(-1)
        collected = states >= ONLINE
        assert bool(collected.any()) == (made >= HORIZON)
        if made >= HORIZON:
            for member in range(len(SEEDS)):
                own = collected[:, member]
                assert int(states[:, member][own].max()) == ONLINE + made - HORIZON
                assert float(batch.actions[:, member][own].max()) == (ONLINE + made - 1) / 2**15


@pytest.mark.parametrize("environments", [1, 2])
@pytest.mark.parametrize(("start", "per_step"), [(1, 1), (5, 1), (8, 3)])
def test_batches_come_as_updates_says(tmp_path: Path, environments: int, start: int, per_step: int) -> None:
    run = Run(
        tmp_path / "replay.bin", environments=environments, start_training=start, per_step=per_step, mode="append"
    )
    counts: list[int] = []
    while run.data.step < 6 + 20:
        before = run.data.step
        batch = run.draw()
        assert len({len(field) for field in batch}) == 1
        assert batch.actions.shape[1:] == (len(SEEDS), 6, HORIZON)
        counts.append(len(batch.rewards))
        assert counts[-1] == run.updates(run.data.step) - run.updates(before)
    assert counts[:2] == [3, 3]
    assert len(counts) == 2 + 20 // environments
    online = counts[2:]
    assert sum(online) == per_step * (20 - start + 1)
    first = (start - 1) // environments
    assert online[:first] == [0] * first and all(online[first:])


def test_the_hand_over(tmp_path: Path) -> None:
    """Offline it is as if no online phase came; then the same generators go on, over what is there by then."""
    run, alone = Run(tmp_path / "replay.bin", batch_size=500), Run(tmp_path / "other.bin", batch_size=500, online=False)
    for _ in range(2):
        assert same(run.draw(), alone.draw())
        assert run.phase.windows is None and "online" not in run.data.state_dict()
        assert int(run.collector.time.max()) == 0 and not run.log.path.exists()
    assert run.data.step == run.offline_steps
    run.draw()
    assert isinstance(run.data.sampler.windows, ReplayWindows)
    assert (run.phase.windows is run.data.sampler.windows) and int(run.collector.time.max()) == 1
    for _ in range(5):
        batch = run.draw()
    assert set(batch.observations.flatten().tolist()) == {*range(40), *range(ONLINE, ONLINE + 6 - HORIZON + 1)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("offline_steps", [0, 5])
def test_a_run_continued_at_any_step_draws_what_the_whole_run_draws(
    tmp_path: Path, mode: str, offline_steps: int
) -> None:
    """Across the hand-over, before training starts, in the middle of an episode, and when the ring has wrapped."""
    options: dict[str, Any] = {
        "offline_steps": offline_steps,
        "start_training": 8,
        "per_step": 2,
        "capacity": 7,
        "mode": mode,
    }
    total, path = 20, tmp_path / "replay.bin"
    whole = Run(path, **options)
    states, batches = [saved(whole.data.state_dict())], []
    for _ in range(total):
        batches.append(whole.draw())
        states.append(saved(whole.data.state_dict()))
    last = whole.log.flush()
    whole.data.close()
    for step in range(total + 1):
        copy = tmp_path / f"{step}.bin"
        shutil.copy(path, copy)  # further than the checkpoint, as a kill leaves it
        run = Run(copy, **options)
        run.data.load_state_dict(loaded(states[step]))
        assert saved(run.data.state_dict()) == states[step]
        for expected in batches[step:]:
            assert same(run.draw(), expected)
        assert run.log.flush() == last
        assert saved(run.data.state_dict()) == states[total]
        run.data.close()
        assert copy.read_bytes() == path.read_bytes()


def test_where_an_environment_fails_nothing_has_moved(tmp_path: Path) -> None:
    """So that what is saved then is as good as any other checkpoint."""
    run = Run(tmp_path / "replay.bin")
    for _ in range(6):
        run.draw()
    before = saved(run.data.state_dict())
    run.collector.fails_at = 4
    with pytest.raises(QamError, match="the environment failed"):
        run.draw()
    assert saved(run.data.state_dict()) == before
    run.collector.fails_at = None
    again = Run(tmp_path / "replay.bin")
    again.data.load_state_dict(loaded(before))
    for _ in range(3):
        assert same(run.draw(), again.draw())


def test_a_log_that_is_gone_is_reported(tmp_path: Path) -> None:
    run = Run(tmp_path / "replay.bin")
    for _ in range(4):
        run.draw()
    state = run.data.state_dict()
    with pytest.raises(QamError, match="the replay buffer .* does not belong to the checkpoint"):
        Run(tmp_path / "other.bin").data.load_state_dict(state)


@pytest.mark.parametrize("end", ["teardown", "exception"])
def test_the_end_of_training_releases_environments_and_file(tmp_path: Path, end: str) -> None:
    run = Run(tmp_path / "replay.bin")
    for _ in range(4):
        run.draw()
    if end == "teardown":
        run.data.teardown("fit")
    else:
        run.data.on_exception(RuntimeError())
    assert run.collector.closed
    assert run.log.path.stat().st_size == 2 * run.log.record.itemsize  # no more in a buffer


class Files:
    """Shards of 40 transitions, five updates each, and which were read."""

    def __init__(self, directory: Path) -> None:
        self.read: list[int] = []
        files = [directory / f"{i}.npz" for i in range(4)]
        for file in files:
            file.touch()
        self.shards = Shards(files, self.load, shard_every=5)

    def load(self, path: Path) -> Transitions:
        self.read.append(int(path.stem))
        return transitions(40, first=1000 * int(path.stem))


def shards_in(batch: Batch) -> set[int]:
    """Of the dataset's part."""
    states = batch.observations[batch.observations < ONLINE]
    return set((states // 1000).int().tolist())


@pytest.mark.parametrize(
    ("offline_steps", "read"),
    [(0, [0]), (4, [0]), (5, [0]), (6, [0, 1]), (10, [0, 1]), (15, [0, 1, 2]), (23, [0, 1, 2, 3, 0])],
)
def test_the_last_shard_stays_and_none_is_read_beyond_it(tmp_path: Path, offline_steps: int, read: list[int]) -> None:
    files = Files(tmp_path)
    run = Run(tmp_path / "replay.bin", source=files.shards, offline_steps=offline_steps)
    while run.data.step < offline_steps:
        run.draw()
    states = []
    for _ in range(9):
        assert shards_in(run.draw()) == {read[-1]}
        states.append(saved(run.data.state_dict()))
    run.data.close()
    assert files.read == read
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reader of")]

    again = Files(tmp_path)
    other = Run(tmp_path / "replay.bin", source=again.shards, offline_steps=offline_steps)
    other.data.load_state_dict(loaded(states[6]))
    for k in (7, 8):
        assert shards_in(other.draw()) == {read[-1]}
        assert saved(other.data.state_dict()) == states[k]
    assert set(again.read) <= {0, read[-1]}
