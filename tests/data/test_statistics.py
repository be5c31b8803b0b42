"""Numbers of a dataset against sums by loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qam_torch.data.inspection.statistics import (
    ACTION_BINS,
    Episodes,
    concatenate,
    episode_lengths,
    episode_sums,
    length_summary,
    outcome_summary,
    summarize_episodes,
)

LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=12).filter(any)


def file_of(lengths: list[int], seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """A raw file with episodes of these many transitions, and rewards and masks of its transitions."""
    rng = np.random.default_rng(seed)
    terminals = np.concatenate([np.arange(length + 1) == length for length in lengths])
    actions = rng.uniform(-1.2, 1.2, size=(len(terminals), 2)).astype(np.float32)
    rewards = rng.integers(-3, 1, size=sum(lengths)).astype(np.float32)
    return {"terminals": terminals, "actions": actions}, rewards, (rewards < 0).astype(np.float32)


@given(LENGTHS, st.integers(0, 3))
def test_sums_of_episodes(lengths: list[int], seed: int) -> None:
    """An episode without transitions has no sum, and takes nothing from its neighbors."""
    arrays, rewards, masks = file_of(lengths, seed)
    episodes = summarize_episodes(arrays, {4: (rewards, masks)})
    expected, start = [], 0
    for length in lengths:
        if length:
            expected.append((length, rewards[start : start + length].sum(), (masks[start : start + length] == 0).sum()))
        start += length
    outcomes = episodes.outcomes[4]
    assert list(zip(episodes.lengths, outcomes.returns, outcomes.successes, strict=True)) == expected


@given(LENGTHS, LENGTHS)
def test_shards_joined_equal_one_file(first: list[int], second: list[int]) -> None:
    files = [file_of(first, 1), file_of(second, 2)]
    parts = concatenate([summarize_episodes(arrays, {1: (rewards, masks)}) for arrays, rewards, masks in files])
    arrays = {key: np.concatenate([file[0][key] for file in files]) for key in files[0][0]}
    whole = summarize_episodes(arrays, {1: tuple(np.concatenate([file[i] for file in files]) for i in (1, 2))})  # type: ignore[dict-item]
    np.testing.assert_array_equal(parts.lengths, whole.lengths)
    np.testing.assert_array_equal(parts.actions, whole.actions)
    assert outcome_summary(parts, 1) == outcome_summary(whole, 1)


def test_sums_are_exact_where_float32_is_not() -> None:
    values = np.array([2**24, 1], dtype=np.float32)
    assert float(episode_sums(values, np.array([2]))[0]) == 2**24 + 1


def test_action_histogram_counts_transitions_only() -> None:
    """The action of an episode's last row leads nowhere; both edges and what lies outside belong to the ends."""
    terminals = np.array([False] * 6 + [True])
    actions = np.array([-1.0, -5.0, 1.0, 1.5, 0.0, 0.19, 0.5])[:, None].astype(np.float32)
    counts = summarize_episodes({"terminals": terminals, "actions": actions}, {}).actions
    np.testing.assert_array_equal(counts, [[2, 0, 0, 0, 0, 2, 0, 0, 0, 2]])
    assert counts.shape[1] == ACTION_BINS


def test_summaries_by_hand() -> None:
    """Three episodes: two steps without success, four with two successes, two with one."""
    arrays, *_ = file_of([2, 4, 2])
    rewards = np.array([-1, -1, -1, -1, 0, 0, -1, 0], dtype=np.float32)
    episodes: Episodes = summarize_episodes(arrays, {1: (rewards, -rewards)})
    summary = outcome_summary(episodes, 1)
    assert summary["success_transitions"] == 3 / 8
    assert summary["success_episodes"] == pytest.approx(2 / 3)
    assert summary["mean_reward"] == -5 / 8
    assert [summary[f"return_p{p}"] for p in (5, 25, 50, 75, 95)] == pytest.approx([-2, -2, -2, -1.5, -1.1])
    assert length_summary(episodes) == {"min": 2, "p25": 2, "p50": 2, "p75": 3, "max": 4}


def test_lengths_count_transitions_not_rows() -> None:
    np.testing.assert_array_equal(episode_lengths(np.array([0, 0, 1, 1, 0, 1], dtype=bool)), [2, 1])
