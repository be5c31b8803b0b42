"""The two layouts of a dataset, against arrays worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from qam_torch.data.transitions import ACTION_LIMIT, Transitions
from qam_torch.types import QamError


def raw_file() -> dict[str, np.ndarray]:
    """Two trajectories: states 0 1 2 3 (three transitions) and 10 11 12 (two)."""
    states = np.array([0, 1, 2, 3, 10, 11, 12], np.float32)[:, None]
    return {
        "observations": states,
        "actions": states / 20.0,
        "terminals": np.array([0, 0, 0, 1, 0, 0, 1], bool),
    }


def from_raw() -> Transitions:
    return Transitions.from_ogbench(raw_file(), np.arange(5, dtype=np.float32), np.ones(5, np.float32))


def regular(**changes: Any) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        "observations": np.array([0, 1, 2, 10, 11], np.float32)[:, None],
        "next_observations": np.array([1, 2, 3, 11, 12], np.float32)[:, None],
        "actions": np.array([0, 1, 2, 10, 11], np.float32)[:, None] / 20.0,
        "rewards": np.arange(5, dtype=np.float32),
        "masks": np.ones(5, np.float32),
        "terminals": np.array([0, 0, 1, 0, 1]),
    }
    return {**arrays, **changes}


def test_raw_file_by_hand() -> None:
    data = from_raw()
    assert data.states[data.state_rows].flatten().tolist() == [0, 1, 2, 10, 11]
    assert data.states[data.next_rows].flatten().tolist() == [1, 2, 3, 11, 12]
    assert data.terminals.tolist() == [False, False, True, False, True]
    assert data.rewards.tolist() == [0, 1, 2, 3, 4]
    assert torch.allclose(data.actions, data.states[data.state_rows] / 20.0)
    assert len(data.states) == 7  # every state once
    assert (data.num_transitions, data.observation_dim, data.action_dim) == (5, 1, 1)
    assert (data.num_episodes, data.episode_lengths.tolist(), data.longest_episode) == (2, [3, 2], 3)
    assert data.episode_ends.tolist() == [2, 2, 2, 4, 4]


def test_trajectory_without_transitions_is_skipped() -> None:
    arrays = raw_file()
    arrays = {key: np.insert(array, 4, array[3], axis=0) for key, array in arrays.items()}  # a lone terminal row
    data = Transitions.from_ogbench(arrays, np.zeros(5, np.float32), np.ones(5, np.float32))
    assert data.states[data.state_rows].flatten().tolist() == [0, 1, 2, 10, 11]
    assert data.states[data.next_rows].flatten().tolist() == [1, 2, 3, 11, 12]
    assert data.num_episodes == 2


def test_regular_layout_shares_states() -> None:
    data = Transitions.from_arrays(**regular())
    assert data.states[data.state_rows].flatten().tolist() == [0, 1, 2, 10, 11]
    assert data.states[data.next_rows].flatten().tolist() == [1, 2, 3, 11, 12]
    assert len(data.states) == 7  # only the two last states were added


def test_jumps_inside_an_episode_get_their_own_state() -> None:
    data = Transitions.from_arrays(**regular(next_observations=np.array([1, 7, 3, 11, 12], np.float32)[:, None]))
    assert data.states[data.next_rows].flatten().tolist() == [1, 7, 3, 11, 12]
    assert len(data.states) == 8


def test_state_is_not_shared_across_an_episodes_end() -> None:
    """Even when the next episode happens to start there: its state may be dropped with its episode."""
    data = Transitions.from_arrays(**regular(next_observations=np.array([1, 2, 10, 11, 12], np.float32)[:, None]))
    assert data.next_rows[2] >= 5


def test_actions_are_clipped_as_the_reference_does() -> None:
    actions = np.array([[-1.0], [1.0], [0.25], [-3.0], [0.0]], np.float32)
    expected = np.clip(actions, -1 + 1e-5, 1 - 1e-5)
    np.testing.assert_array_equal(Transitions.from_arrays(**regular(actions=actions)).actions.numpy(), expected)
    assert ACTION_LIMIT == 1 - 1e-5
    kept = Transitions.from_arrays(**regular(actions=actions), clip_actions=False)
    np.testing.assert_array_equal(kept.actions.numpy(), actions)


def test_unfinished_last_episode() -> None:
    data = Transitions.from_arrays(**regular(terminals=np.array([0, 0, 1, 0, 0])))
    assert data.episode_ends.tolist() == [2, 2, 2, 4, 4]
    assert data.episode_lengths.tolist() == [3, 2]
    assert Transitions.from_arrays(**regular(terminals=np.zeros(5))).longest_episode == 5


@pytest.mark.parametrize("layout", ["raw", "regular"])
def test_proportion_is_the_front(layout: str) -> None:
    data = from_raw() if layout == "raw" else Transitions.from_arrays(**regular())
    front = data.front(0.6)
    assert front.num_transitions == 3
    assert torch.equal(front.states[front.next_rows], data.states[data.next_rows[:3]])
    assert torch.equal(front.actions, data.actions[:3])
    assert front.num_episodes == 1
    if layout == "raw":
        assert len(front.states) == 4  # memory shrinks too


def test_a_tenth_is_the_first_tenth_though_it_ends_inside_an_episode() -> None:
    rows = np.arange(33, dtype=np.float32)  # three episodes of ten transitions
    raw = {"observations": rows[:, None], "actions": rows[:, None] / 40, "terminals": rows % 11 == 10}
    data = Transitions.from_ogbench(raw, np.arange(30, dtype=np.float32), np.ones(30, np.float32))
    tenth = data.front(0.1)
    assert tenth.rewards.tolist() == [0, 1, 2]
    assert tenth.states[tenth.state_rows].flatten().tolist() == [0, 1, 2]
    assert tenth.states[tenth.next_rows].flatten().tolist() == [1, 2, 3]
    assert data.front(0.5).states[data.front(0.5).state_rows].flatten().tolist()[9:12] == [9, 11, 12]


@pytest.mark.parametrize("fraction", [0.0, -0.5, 1.5, 0.1, float("nan")])
def test_proportion_out_of_range(fraction: float) -> None:
    with pytest.raises(QamError, match="dataset fraction"):
        from_raw().front(fraction)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rewards": np.zeros(4, np.float32)}, r"rewards has shape \(4,\), expected \(5,\)"),
        ({"masks": np.zeros((5, 1), np.float32)}, r"masks has shape \(5, 1\)"),
        ({"actions": np.zeros(5, np.float32)}, r"shapes \(M, O\) and \(N, A\)"),
        ({"next_observations": np.zeros((5, 2), np.float32)}, "must have shapes"),
        ({"rewards": np.array([0, 0, np.nan, 0, 0], np.float32)}, "rewards has NaN or infinity, first in row 2"),
        ({"actions": np.array([[0], [0], [0], [np.inf], [0]], np.float32)}, "actions has NaN or infinity, .* row 3"),
    ],
)
def test_bad_arrays(changes: dict[str, np.ndarray], sentence: str) -> None:
    with pytest.raises(QamError, match=sentence):
        Transitions.from_arrays(**regular(**changes))


def test_rows_out_of_range() -> None:
    good = from_raw()
    with pytest.raises(QamError, match=r"next_rows spans 1\.\.9, expected rows of states in 0\.\.6"):
        Transitions(
            good.states, good.state_rows, torch.tensor([1, 2, 3, 5, 9]), good.actions, good.rewards, good.masks,
            good.terminals,
        )  # fmt: skip
