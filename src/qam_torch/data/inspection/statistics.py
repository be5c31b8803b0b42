"""Statistics of a dataset: episode lengths, success and returns in each task, histograms of actions.

Values are first summed per episode. So the files of a large dataset can be read one by one, and their episodes
concatenated (`concatenate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qam_torch.data.ogbench_format import kept_rows

__all__ = [
    "ACTION_BINS", "RETURN_PERCENTILES", "Episodes", "Outcomes", "episode_lengths", "episode_sums", "concatenate",
    "length_summary", "outcome_summary", "summarize_episodes",
]  # fmt: skip

ACTION_BINS = 10
"""Number of equal bins of [-1, 1] in an action histogram."""

RETURN_PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Outcomes:
    """Returns and successes of E episodes in one task.

    Attributes:
        returns: (E,) float64, undiscounted sum of each episode's rewards.
        successes: (E,) int64, number of each episode's transitions that start in a success state (mask 0).
    """

    returns: np.ndarray
    successes: np.ndarray


@dataclass(frozen=True)
class Episodes:
    """E episodes with at least one transition each.

    Attributes:
        lengths: (E,) int64, transitions per episode.
        outcomes: task -> outcomes.
        actions: (A, ACTION_BINS) int64, histogram of the actions for each action dimension.
    """

    lengths: np.ndarray
    outcomes: Mapping[int, Outcomes]
    actions: np.ndarray


def summarize_episodes(
    arrays: Mapping[str, np.ndarray], rewards: Mapping[int, tuple[np.ndarray, np.ndarray]]
) -> Episodes:
    """Summarize the episodes of one file.

    Args:
        arrays: arrays of the raw file, see `read_npz`: actions (rows, A), terminals (rows,).
        rewards: task -> rewards (N,) and masks (N,) of the transitions (see `TaskRewards`).
    """
    lengths = episode_lengths(arrays["terminals"])
    outcomes = {
        task: Outcomes(episode_sums(reward, lengths), episode_sums(mask == 0, lengths).astype(np.int64))
        for task, (reward, mask) in rewards.items()
    }
    return Episodes(lengths, outcomes, _action_counts(arrays["actions"][kept_rows(arrays["terminals"])]))


def episode_lengths(terminals: np.ndarray) -> np.ndarray:
    """Lengths (E,) int64 of all episodes with a transition. `terminals` (rows,) is True on each episode's last row."""
    lengths = np.diff(np.flatnonzero(terminals), prepend=-1) - 1
    return lengths[lengths > 0]


def episode_sums(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Sums (E,) float64 of each episode's values. `values` (N,) has one per transition, and `lengths` (E,) sum to N."""
    assert len(values) == lengths.sum()
    return np.add.reduceat(values.astype(np.float64), np.cumsum(lengths) - lengths)


def _action_counts(actions: np.ndarray) -> np.ndarray:
    """Histogram (A, ACTION_BINS) of actions (N, A). Values outside [-1, 1] count in the outermost bins."""
    edges = np.linspace(-1.0, 1.0, ACTION_BINS + 1)
    return np.stack([np.histogram(np.clip(column, -1.0, 1.0), edges)[0] for column in actions.T])


def concatenate(parts: Sequence[Episodes]) -> Episodes:
    """The episodes of several files, in order. All files must have the same tasks and action size."""
    outcomes = {
        task: Outcomes(
            np.concatenate([part.outcomes[task].returns for part in parts]),
            np.concatenate([part.outcomes[task].successes for part in parts]),
        )
        for task in parts[0].outcomes
    }
    actions = np.sum([part.actions for part in parts], axis=0)
    return Episodes(np.concatenate([part.lengths for part in parts]), outcomes, actions)


def length_summary(episodes: Episodes) -> dict[str, float]:
    """Minimum, quartiles and maximum of the episodes' lengths, in transitions."""
    values = np.percentile(episodes.lengths, (0, 25, 50, 75, 100))
    return dict(zip(("min", "p25", "p50", "p75", "max"), values.tolist(), strict=True))


def outcome_summary(episodes: Episodes, task: int) -> dict[str, float]:
    """Success, rewards and returns of the data in one task.

    Returns:
        success_transitions: share of the transitions that start in a success state, in [0, 1].
        success_episodes: share of the episodes that have such a transition, in [0, 1].
        mean_reward: mean over transitions.
        return_p5 ...: percentiles of the undiscounted return over episodes, see RETURN_PERCENTILES.
    """
    outcomes, transitions = episodes.outcomes[task], int(episodes.lengths.sum())
    percentiles = np.percentile(outcomes.returns, RETURN_PERCENTILES).tolist()
    return {
        "success_transitions": float(outcomes.successes.sum()) / transitions,
        "success_episodes": float(np.mean(outcomes.successes > 0)),
        "mean_reward": float(outcomes.returns.sum()) / transitions,
        **{f"return_p{percent}": value for percent, value in zip(RETURN_PERCENTILES, percentiles, strict=True)},
    }
