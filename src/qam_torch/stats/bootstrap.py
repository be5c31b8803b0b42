"""Compare methods over seeds and tasks by aggregate metrics with stratified bootstrap intervals.

Each function takes the scores of a method as one array (n_m,) per task m, with one score per seed. Tasks are the
strata: seeds are drawn with replacement within each task. The ends of an interval are percentiles over the draws. An
interval is (nan, nan) if a task has only one seed.

Source: Agarwal et al. 2021, "Deep reinforcement learning at the edge of the statistical precipice" (arXiv 2108.13264).
Their package rliable gives the same numbers if all tasks have the same number of seeds
(tests/stats/test_bootstrap.py). Here, tasks may have different numbers of seeds.
`scipy.stats.bootstrap` is not used because it does not support strata.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

__all__ = [
    "DRAWS",
    "LEVEL",
    "Estimate",
    "Scores",
    "curve_of_means",
    "interquartile_mean",
    "performance_profile",
    "probability_of_improvement",
    "task_mean",
]

DRAWS = 5000
LEVEL = 0.95
_SEED = 0

Scores = Sequence[np.ndarray]


class Estimate(NamedTuple):
    """A value and its 95% interval. The interval is (nan, nan) if it cannot be estimated."""

    value: float
    low: float
    high: float

    @property
    def bounded(self) -> bool:
        """Whether the interval could be estimated."""
        return bool(np.isfinite(self.low))


def task_mean(scores: Scores) -> Estimate:
    """Return the mean over tasks of the mean over seeds."""
    mean, ends = curve_of_means([one[:, None] for one in scores])
    return Estimate(float(mean[0]), *ends[0].tolist())


def curve_of_means(scores: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean over tasks of the mean over seeds, for H quantities at once.

    Args:
        scores: one array (n_m, H) per task m.

    Returns:
        (H,) means, (H, 2) pointwise intervals.
    """
    mean = np.mean([one.mean(0) for one in scores], axis=0)
    if not _drawable(scores):
        return mean, np.full((len(mean), 2), np.nan)
    return mean, _ends(np.mean([_shares(len(one), m) @ one for m, one in enumerate(scores)], axis=0)).T


def interquartile_mean(scores: Scores) -> Estimate:
    """Return the mean of the middle half of all runs of all tasks.

    A quarter of the runs, rounded down, is dropped at each end.
    """
    value = float(_middle(np.concatenate(scores)))
    if not _drawable(scores):
        return Estimate(value, np.nan, np.nan)
    drawn = np.concatenate([one[_drawn(len(one), m)] for m, one in enumerate(scores)], axis=1)
    return Estimate(value, *_ends(_middle(drawn)).tolist())


def _middle(runs: np.ndarray) -> np.ndarray:
    cut = runs.shape[-1] // 4
    return np.sort(runs, axis=-1)[..., cut : runs.shape[-1] - cut].mean(-1)


def probability_of_improvement(better: Scores, worse: Scores) -> Estimate:
    """Return P(X > Y) for runs X and Y of two methods on the same task, averaged over tasks.

    Equal scores count half.

    Args:
        better: scores of X, one array per task.
        worse: scores of Y, one array per task, in the same order.
    """
    wins = [(np.sign(x[:, None] - y) + 1) / 2 for x, y in zip(better, worse, strict=True)]
    value = float(np.mean([won.mean() for won in wins]))
    if not _drawable([*better, *worse]):
        return Estimate(value, np.nan, np.nan)
    drawn = [
        ((_shares(won.shape[0], m) @ won) * _shares(won.shape[1], m + len(wins))).sum(1) for m, won in enumerate(wins)
    ]
    return Estimate(value, *_ends(np.mean(drawn, axis=0)).tolist())


def performance_profile(scores: Scores, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of runs with a score above each threshold, averaged over tasks.

    Args:
        scores: one array (n_m,) per task m.
        thresholds: (H,) thresholds.

    Returns:
        (H,) shares, (H, 2) pointwise intervals.
    """
    return curve_of_means([(one[:, None] > thresholds).astype(float) for one in scores])


def _drawable(scores: Scores) -> bool:
    return min(len(one) for one in scores) > 1


@cache
def _drawn(seeds: int, stratum: int) -> np.ndarray:
    """Return the indices of the seeds in each draw, (DRAWS, n). All metrics use the same draws.

    Args:
        seeds: number of seeds, n.
        stratum: index of the stratum. The draws of different strata are independent.
    """
    return np.random.default_rng([_SEED, stratum]).integers(seeds, size=(DRAWS, seeds))


@cache
def _shares(seeds: int, stratum: int) -> np.ndarray:
    """Return the share of each seed in each draw, (DRAWS, n)."""
    return (_drawn(seeds, stratum)[:, :, None] == np.arange(seeds)).mean(1)


def _ends(drawn: np.ndarray) -> np.ndarray:
    """Return the ends of the interval, (2, ...): the lower and upper percentile over draws (DRAWS, ...)."""
    return np.percentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=0)
