"""Intervals of differences between two groups of seeds."""

from __future__ import annotations

import numpy as np
import pytest

from qam_torch.stats.differences import Difference, difference_of_means, difference_of_shares
from qam_torch.types import QamError


def test_welchs_interval_by_hand() -> None:
    # Means 3 and 6, variances of the means 2.5/5 and 4/4, so 2.25/(0.25/4 + 1/3) = 5.684 degrees of freedom.
    found = difference_of_means(np.array([1.0, 2, 3, 4, 5]), np.array([4.0, 5, 7, 8]) / 1.0, level=0.95)
    variance = 2.5 / 5 + (10 / 3) / 4
    freedom = variance**2 / ((2.5 / 5) ** 2 / 4 + ((10 / 3) / 4) ** 2 / 3)
    from scipy.stats import t

    half = t.ppf(0.975, freedom) * variance**0.5
    assert found == pytest.approx((-3, -3 - half, -3 + half))


def test_groups_without_any_spread_have_an_exact_difference() -> None:
    assert difference_of_means(np.ones(5), np.ones(6)) == Difference(0, 0, 0)
    assert difference_of_means(np.ones(5), np.zeros(6)).excludes_zero


def test_the_interval_of_agresti_and_caffo_by_hand() -> None:
    first, second = np.array([True] * 8 + [False] * 2), np.array([True] * 3 + [False] * 7)
    found = difference_of_shares(first, second, level=0.95)
    # shares (8+1)/12 and (3+1)/12; 1.959964 sqrt(0.75 * 0.25 / 12 + 1/3 * 2/3 / 12)
    half = 1.959964 * (0.1875 / 12 + (2 / 9) / 12) ** 0.5
    assert found == pytest.approx((0.5, 5 / 12 - half, 5 / 12 + half), abs=1e-6)
    assert found.excludes_zero


def test_shares_keep_their_width_where_all_succeed() -> None:
    found = difference_of_shares(np.ones(20, bool), np.ones(19, bool))
    assert found.value == 0 and found.low < -0.1 and found.high > 0.1


@pytest.mark.parametrize("interval", [difference_of_means, difference_of_shares])
def test_one_seed_has_no_interval(interval: object) -> None:
    with pytest.raises(QamError, match="seeds=1 is out of range: expected at least two in each group"):
        interval(np.ones(1), np.ones(5))  # type: ignore[operator]


def test_the_intervals_cover_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    missed = {"means": 0, "shares": 0}
    for _ in range(400):
        numbers = generator.normal(0, [[1.0], [3.0]], size=(2, 10))
        missed["means"] += difference_of_means(*numbers, level=0.9).excludes_zero
        missed["shares"] += difference_of_shares(*(generator.random((2, 20)) < 0.8), level=0.9).excludes_zero
    assert all(0.05 < count / 400 < 0.15 for count in missed.values()), missed
