"""Trainer steps end at every event, and all updates are made."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qam_torch.experiment.clock import Clock
from qam_torch.types import QamError

numbers = st.integers(1, 40)


@given(st.integers(1, 150), numbers, numbers, numbers, numbers, st.integers(0, 150))
def test_steps_hit_every_event_and_add_up(
    updates: int, at_most: int, log: int, evaluate: int, save: int, start: int
) -> None:
    clock = Clock(updates, at_most, log, evaluate, save)
    start = min(start, updates)
    ends, done = [], start
    while step := clock.plan(done):
        assert 1 <= step <= at_most
        done += step
        ends.append(done)
    assert done == updates
    assert len(ends) == clock.num_steps(start)
    for every in (log, evaluate, save):
        events = {u for u in range(start + 1, updates + 1) if u % every == 0 or u == updates}
        assert events == {u for u in ends if clock.due(every, u)}
        assert events <= set(ends)


@pytest.mark.parametrize("bad", [0, -1, 1.5, "10", None, True])
@pytest.mark.parametrize("name", ["updates", "updates_per_step", "log_every", "eval_every", "save_every"])
def test_anything_but_positive_integers_is_refused_by_name(name: str, bad: object) -> None:
    numbers = {"updates": 10, "updates_per_step": 1, "log_every": 1, "eval_every": 1, "save_every": 1}
    with pytest.raises(QamError, match=f"{name}={bad} is out of range: expected an integer >= 1"):
        Clock(**{**numbers, name: bad})  # type: ignore[arg-type]
