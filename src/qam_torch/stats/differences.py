"""Confidence intervals of the difference between two groups of independent seeds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qam_torch.types import require

__all__ = ["Difference", "difference_of_means", "difference_of_shares"]


class Difference(NamedTuple):
    """A difference and its confidence interval."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval."""
        return not self.low <= 0 <= self.high


def difference_of_means(first: np.ndarray, second: np.ndarray, level: float = 0.99) -> Difference:
    """Return the mean of the first group minus the mean of the second, with Welch's interval.

    Args:
        first: (n,), one number per seed, n >= 2.
        second: (m,), one number per seed, m >= 2.
        level: coverage of the interval, in (0, 1).

    Raises:
        QamError: a group has fewer than two numbers.

    Source: Welch 1947, "The generalization of 'Student's' problem when several different population variances are
    involved".
    """
    _require_seeds(first, second)
    value = float(np.mean(first) - np.mean(second))
    if np.ptp(first) == np.ptp(second) == 0:
        return Difference(value, value, value)
    from scipy.stats import ttest_ind  # imported here, because the import takes most of a second

    interval = ttest_ind(first, second, equal_var=False).confidence_interval(level)
    return Difference(value, float(interval.low), float(interval.high))


def difference_of_shares(first: np.ndarray, second: np.ndarray, level: float = 0.99) -> Difference:
    """Return the share of True in the first group minus the share in the second, with Agresti and Caffo's interval.

    The interval is computed with one more success and one more failure in each group. Its width is therefore positive
    even if all or none succeed.

    Args:
        first: (n,), bool, n >= 2.
        second: (m,), bool, m >= 2.
        level: coverage of the interval, in (0, 1).

    Raises:
        QamError: a group has fewer than two values.

    Source: Agresti & Caffo 2000, "Simple and effective confidence intervals for proportions and differences of
    proportions result from adding two successes and two failures".
    """
    _require_seeds(first, second)
    from scipy.stats import norm  # imported here, because the import takes most of a second

    shares = np.array([(np.sum(group) + 1) / (len(group) + 2) for group in (first, second)])
    counts = np.array([len(first) + 2, len(second) + 2])
    half = norm.ppf((1 + level) / 2) * np.sqrt(np.sum(shares * (1 - shares) / counts))
    middle = shares[0] - shares[1]
    return Difference(float(np.mean(first) - np.mean(second)), float(middle - half), float(middle + half))


def _require_seeds(first: np.ndarray, second: np.ndarray) -> None:
    for group in (first, second):
        require("seeds", len(group) >= 2, len(group), "at least two in each group")
