"""Confidence intervals of success rates, for one seed and for several."""

from __future__ import annotations

import numpy as np

from qam_torch.stats.bootstrap import task_mean
from qam_torch.types import QamError

__all__ = ["FEWEST_SEEDS", "seeds_interval", "wilson_interval"]

FEWEST_SEEDS = 5
"""Fewest seeds with a bootstrap interval. With two to four seeds there is no interval."""


def seeds_interval(rates: np.ndarray, episodes: int) -> tuple[float, float] | None:
    """95% interval of the mean success rate over seeds.

    Episodes of one seed share its policy and are not independent of each other. Therefore only the seeds are resampled.

    Args:
        rates: (P,), success rate of each seed, in [0, 1].
        episodes: episodes per seed, at least 1.

    Returns:
        Lower and upper end: percentiles of a bootstrap over seeds with `FEWEST_SEEDS` seeds or more, the Wilson
        interval of the episodes with one seed, and None with two to four seeds.
    """
    if len(rates) == 1:
        return wilson_interval(round(rates[0] * episodes), episodes)
    if len(rates) < FEWEST_SEEDS:
        return None
    mean = task_mean([rates])
    return mean.low, mean.high


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a success probability.

    Unlike the normal approximation, it keeps its width when all or no trials succeed.

    Args:
        successes: number of successes, 0 to `trials`.
        trials: number of trials, at least 1.
        level: coverage, in (0, 1).

    Returns:
        Lower and upper end, in [0, 1].

    Raises:
        QamError: an argument is out of range.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if not 0 <= successes <= trials or trials < 1 or not 0.0 < level < 1.0:
        raise QamError(
            f"got successes={successes}, trials={trials}, level={level}: "
            "expected 0 <= successes <= trials, at least one trial and a level between 0 and 1"
        )
    from scipy.stats import binomtest  # late, because the import takes most of a second

    interval = binomtest(successes, trials).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)
