"""Trainer steps end at every event, all steps are made, and the updates of both phases add up."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qam_torch.training.schedule import Schedule
from qam_torch.types import QamError

numbers = st.integers(1, 40)
ORDINARY: dict[str, Any] = {
    "offline_steps": 10,
    "online_steps": 0,
    "updates_per_step": 1,
    "num_envs": 1,
    "start_training": 1,
    "utd_ratio": 1,
    "log_every": 1,
    "eval_every": 1,
    "checkpoint_every": 1,
}


def clock(**changes: Any) -> Schedule:
    return Schedule(**{**ORDINARY, **changes})


def ends(schedule: Schedule, start: int = 0) -> list[int]:
    """The steps at which trainer steps end."""
    done, found = start, []
    while step := schedule.plan(done):
        done += step
        found.append(done)
    return found


@given(st.integers(1, 150), numbers, numbers, numbers, numbers, st.integers(0, 150))
def test_offline_steps_hit_every_event_and_add_up(
    updates: int, at_most: int, log: int, evaluate: int, save: int, start: int
) -> None:
    schedule = clock(
        offline_steps=updates, updates_per_step=at_most, log_every=log, eval_every=evaluate, checkpoint_every=save
    )
    start = min(start, updates)
    found = ends(schedule, start)
    assert all(1 <= last - first <= at_most for first, last in pairwise([start, *found]))
    assert [start, *found][-1] == updates
    assert len(found) == schedule.trainer_steps(start)
    for every in (log, evaluate, save):
        events = {u for u in range(start + 1, updates + 1) if u % every == 0 or u == updates}
        assert events == {u for u in found if schedule.due(every, u)}


@given(st.integers(0, 20), st.integers(1, 40), st.integers(1, 4), numbers, st.integers(1, 3), numbers, numbers, numbers)
def test_online_steps_are_counted_from_the_phase_s_start(
    offline: int, ticks: int, envs: int, start_training: int, ratio: int, at_most: int, log: int, evaluate: int
) -> None:
    schedule = clock(
        offline_steps=offline, online_steps=ticks * envs, num_envs=envs, start_training=start_training, utd_ratio=ratio,
        updates_per_step=at_most, log_every=log, eval_every=evaluate, checkpoint_every=10**6,
    )  # fmt: skip
    found = ends(schedule, offline)
    assert all(0 < last - first <= at_most * envs for first, last in pairwise([offline, *found]))
    assert found[-1] == schedule.steps and len(found) == schedule.trainer_steps(offline)

    updates = offline
    for step in range(offline + envs, schedule.steps + 1, envs):  # the obvious loop: all environments, then on
        made = range(step - offline - envs + 1, step - offline + 1)
        updates += sum(ratio for i in made if i >= start_training)
        assert schedule.updates(step) == updates
        assert schedule.phase(step) == "online" and schedule.online(step) == step - offline
        for every in (log, evaluate):
            assert schedule.due(every, step) == (any(i % every == 0 for i in made) or step == schedule.steps)
            assert step in found or not schedule.due(every, step)
    assert all((step - offline) % envs == 0 for step in found)
    assert schedule.phase(offline) == "offline" and schedule.online(offline) == 0
    assert schedule.updates(offline) == offline
    if offline:
        assert schedule.due(log, offline), "the offline phase ends with all that a run ends with"


def test_the_reference_protocol() -> None:
    """One update for each of the online steps 5 000 to 500 000, after a million."""
    paper = clock(offline_steps=1_000_000, online_steps=500_000, start_training=5000)
    assert paper.updates(1_004_999) == 1_000_000
    assert paper.updates(1_005_000) == 1_000_001
    assert paper.updates(1_500_000) == 1_495_001


@pytest.mark.parametrize("bad", [0, -1, 1.5, "10", None, True])
@pytest.mark.parametrize("name", [name for name in ORDINARY if not name.endswith("line_steps")])
def test_anything_but_positive_integers_is_refused_by_name(name: str, bad: object) -> None:
    with pytest.raises(QamError, match=f"{name}={bad} is out of range: expected an integer >= 1"):
        clock(**{name: bad})


@pytest.mark.parametrize("bad", [-1, 1.5, "10", None, True])
@pytest.mark.parametrize("name", ["offline_steps", "online_steps"])
def test_anything_but_counts_is_refused_by_name(name: str, bad: object) -> None:
    with pytest.raises(QamError, match=f"{name}={bad} is out of range: expected an integer >= 0"):
        clock(**{name: bad})


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(QamError, match="leave nothing to do"):
        clock(offline_steps=0)


def test_environments_share_the_steps_evenly() -> None:
    with pytest.raises(QamError, match="online_steps=10 cannot be divided among num_envs=4: give a multiple"):
        clock(online_steps=10, num_envs=4)
