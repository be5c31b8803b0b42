"""Windows: against a slow per-row reference, by hand, and against the reference implementation's recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import QamError
from tests.helpers.random_episodes import episodes

GOLDEN = Path(__file__).parents[1] / "golden" / "sampler.npz"


def slow_window(data: Transitions, start: int, horizon: int, discount: float) -> dict[str, Any]:
    """One window, a step at a time, straight from the definition."""
    end = start
    while not data.terminals[end] and end + 1 < data.num_transitions:
        end += 1
    columns: dict[str, list[Any]] = {"rewards": [], "masks": [], "valid": [], "terminals": [], "next_observations": []}
    total, mask = 0.0, 1.0
    for j in range(horizon):
        i = start + j
        if i <= end:
            total += discount**j * float(data.rewards[i])
            mask = min(mask, float(data.masks[i]))
        last = min(i, end)
        columns["rewards"].append(total)
        columns["masks"].append(mask)
        columns["valid"].append(float(i <= end))
        columns["terminals"].append(float(data.terminals[last]))
        columns["next_observations"].append(data.states[data.next_rows[last]].tolist())
    return columns


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    horizon=st.integers(1, 7),
    discount=st.sampled_from([0.0, 0.9, 0.99, 1.0]),
    seed=st.integers(0, 1000),
    finished=st.booleans(),
)
def test_windows_equal_the_slow_reference(
    lengths: list[int], horizon: int, discount: float, seed: int, finished: bool
) -> None:
    data = episodes(lengths, seed)
    data.terminals[-1] = finished
    horizon = min(horizon, data.num_transitions)
    windows = ChunkWindows(data, horizon, discount)
    starts = torch.arange(data.num_transitions - horizon + 1)
    assert windows.num_starts == len(starts)
    batch, steps = windows(starts), windows.steps(starts)
    for start in starts.tolist():
        expected = slow_window(data, start, horizon, discount)
        for key, column in expected.items():
            torch.testing.assert_close(steps[key][start], torch.tensor(column, dtype=torch.float64))
            if key != "terminals":
                last = torch.tensor(column[-1], dtype=torch.float64)
                torch.testing.assert_close(getattr(batch, key)[start], last)
        torch.testing.assert_close(batch.observations[start], data.states[data.state_rows[start]])
        torch.testing.assert_close(batch.actions[start], data.actions[start : start + horizon].flatten())
        torch.testing.assert_close(steps["actions"][start], data.actions[start : start + horizon])


def test_three_step_episode_by_hand() -> None:
    data = Transitions.from_arrays(
        observations=np.array([[0.0], [1.0], [2.0], [10.0], [11.0]]),
        next_observations=np.array([[1.0], [2.0], [3.0], [11.0], [12.0]]),
        actions=np.array([[0.1], [0.2], [0.3], [0.4], [0.5]]),
        rewards=np.array([-1.0, 0.0, -1.0, -1.0, -1.0]),
        masks=np.array([1.0, 0.0, 1.0, 1.0, 1.0]),
        terminals=np.array([0, 0, 1, 0, 1]),
        dtype=torch.float64,
    )
    batch = ChunkWindows(data, 2, 0.5)(torch.arange(4))
    assert batch.rewards.tolist() == [-1.0, -0.5, -1.0, -1.5]
    assert batch.masks.tolist() == [0.0, 0.0, 1.0, 1.0]
    assert batch.valid.tolist() == [1.0, 1.0, 0.0, 1.0]
    assert batch.next_observations.flatten().tolist() == [2.0, 3.0, 3.0, 12.0]
    assert batch.actions.tolist() == [[0.1, 0.2], [0.2, 0.3], [0.3, 0.4], [0.4, 0.5]]


def test_members_get_rewards_of_their_own_discounts() -> None:
    data, starts = episodes([4, 6, 3]), torch.randint(11, (5, 3, 8), generator=torch.Generator().manual_seed(0))
    discounts = [0.5, 0.9, 0.5]
    batch = ChunkWindows(data, 3, discounts)(starts)
    for p, discount in enumerate(discounts):
        alone = ChunkWindows(data, 3, discount)(starts[:, p : p + 1])
        for field, own in zip(batch, alone, strict=True):
            assert torch.equal(field[:, p : p + 1], own)
    assert not torch.equal(ChunkWindows(data, 3, 0.5)(starts).rewards, batch.rewards)


def test_golden_case() -> None:
    with np.load(GOLDEN) as file:
        case = {key: file[key] for key in file.files if key != "case_json"}
    data = Transitions.from_arrays(
        **{key.removeprefix("data/"): array for key, array in case.items() if key.startswith("data/")},
        dtype=torch.float64,
        clip_actions=False,
    )
    windows = ChunkWindows(data, 5, 0.99)
    starts = torch.as_tensor(case["starts"])
    assert windows.num_starts == len(starts)
    expected = {key.removeprefix("window/"): array for key, array in case.items() if key.startswith("window/")}
    steps, batch = windows.steps(starts), windows(starts)
    assert steps.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_allclose(steps[key].numpy(), array, rtol=0, atol=1e-12 * np.abs(array).max(), err_msg=key)
        if key == "terminals":
            continue
        if key == "actions":
            array = array.reshape(len(starts), -1)
        elif key != "observations":
            array = array[:, -1]
        recorded = getattr(batch, key).numpy()
        np.testing.assert_allclose(recorded, array, rtol=0, atol=1e-12 * np.abs(array).max(), err_msg=key)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"horizon_length": 8}, r"algo.horizon_length=8 exceeds the longest episode \(\d steps\)"),
        ({"horizon_length": 0}, "horizon_length=0 is out of range"),
        ({"discount": 1.1}, "discount=1.1 is out of range"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], sentence: str) -> None:
    options: dict[str, Any] = {"horizon_length": 3, "discount": 0.9, **changes}
    with pytest.raises(QamError, match=sentence):
        ChunkWindows(episodes([4, 3]), **options)


def test_starts_out_of_range() -> None:
    windows = ChunkWindows(episodes([4, 3]), 3, 0.9)
    for starts in ([-1], [5]):
        with pytest.raises(QamError, match=r"use 0\.\.4"):
            windows(torch.tensor(starts))


def test_actions_and_states_are_stored_once() -> None:
    """The window view shares the actions' memory: a longer chunk costs none."""
    data = episodes([50, 50], dtype=torch.float32)
    windows = ChunkWindows(data, 10, 0.9)
    assert windows.table.chunks.data_ptr() == data.actions.data_ptr()
