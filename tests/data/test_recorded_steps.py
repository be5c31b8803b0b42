"""Recorded steps: where rows do not continue one another, and what a user should know of a recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from qam_torch.data.recorded_steps import RecordedSteps
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import QamError

LOW, HIGH = -np.ones(1), np.ones(1)


def recorded(states: Any, following: Any = None, **changes: Any) -> RecordedSteps:
    """Steps with one-dimensional states, no flags and reward 1."""
    count = len(states)
    fields: dict[str, Any] = {
        "observations": np.asarray(states)[:, None],
        "actions": np.zeros((count, 1)),
        "rewards": np.ones(count),
        "terminals": np.zeros(count, bool),
        "timeouts": np.zeros(count, bool),
        "next_observations": None if following is None else np.asarray(following)[:, None],
    }
    fields |= {name: np.isin(np.arange(count), rows) for name, rows in changes.items()}
    return RecordedSteps(**fields)


def test_windows_end_where_the_next_row_is_of_another_episode() -> None:
    """Rows 0 1 2 and 10 11 12, with no flag between them; the window over the break is not valid."""
    steps = recorded([0.0, 1, 2, 10, 11, 12], [1.0, 2, 3, 11, 12, 13])
    assert steps.breaks().tolist() == [False, False, True, False, False, False]
    data = steps.transitions(LOW, HIGH, "data")
    assert data.episode_lengths.tolist() == [3, 3] and data.masks.tolist() == [1] * 6
    assert data.states[data.next_rows, 0].tolist() == [1, 2, 3, 11, 12, 13]
    batch = ChunkWindows(data, 2, 0.5)(torch.arange(5))
    assert batch.valid.tolist() == [1, 1, 0, 1, 1]
    assert batch.rewards.tolist() == [1.5, 1.5, 1, 1.5, 1.5]
    assert list(steps.remarks()) == [
        "episodes also end at 1 step whose next state differs from the following row's state"
    ]


def test_a_flag_or_rounding_is_not_a_break() -> None:
    flagged = recorded([0.0, 1, 2, 10, 11, 12], [1.0, 2, 3, 11, 12, 13], timeouts=[2])
    assert not flagged.breaks().any() and list(flagged.remarks()) == []
    states = 1000 + np.random.default_rng(0).normal(size=9).cumsum() / 100
    assert not recorded(states[:-1].astype(np.float32), states[1:]).breaks().any()
    offset = recorded([0, 1, 2, 3], [1, 2, 3, 4])._replace(next_observations=np.array([[1.0], [2.01], [3], [4]]))
    assert offset.breaks().tolist() == [False, True, False, False], "a hundredth of a step is more than rounding"
    whole = recorded(np.array([3, 0, 7], np.uint8), np.array([0, 5, 9], np.uint8))
    assert whole.breaks().tolist() == [False, True, False], "unsigned numbers are subtracted as numbers"


def test_next_states_of_an_environment_that_resets_itself_are_noticed() -> None:
    steps = recorded([0.0, 1, 2, 10, 11, 20, 21], [1.0, 2, 10, 11, 20, 21, 22], timeouts=[2, 4, 6])
    (remark,) = steps.remarks()
    assert remark.startswith("warning: at 2 of 2 cuts, the next state is the first state of the next episode")
    ended = recorded([0.0, 1, 2, 10, 11], [1.0, 2, 10, 11, 12], terminals=[2])
    assert list(ended.remarks()) == [], "nothing is bootstrapped after a terminal step"


@pytest.mark.parametrize(
    ("flags", "count"),
    [({"timeouts": [2]}, 2), ({"timeouts": [2, 5]}, 2), ({"terminals": [2, 5]}, 0), ({"terminals": [2]}, 1)],
)
def test_cuts_without_a_last_state_are_counted(flags: dict[str, list[int]], count: int) -> None:
    remarks = list(recorded([0.0, 1, 2, 10, 11, 12], **flags).remarks())
    message = f"left out: {count} step{'s' * (count > 1)} where an episode is cut without a last state"
    assert [remark.partition(";")[0] for remark in remarks] == [message] * bool(count)


def test_what_the_type_cannot_hold_is_named() -> None:
    large = recorded([0.0, 1e39, 2], [1e39, 2, 3])
    with pytest.raises(
        QamError, match=r"^data: 'observations' has 1e\+39 in row 1, but float32 holds numbers up to 3.4e"
    ):
        large.transitions(LOW, HIGH, "data")
    assert large.transitions(LOW, HIGH, "data", dtype=torch.float64).states.max() == 1e39
