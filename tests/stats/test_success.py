"""Intervals of success rates: known values of one seed's, and several seeds as the unit that is resampled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qam_torch.stats.bootstrap import task_mean
from qam_torch.stats.success import seeds_interval, wilson_interval
from qam_torch.types import QamError


@pytest.mark.parametrize(
    ("successes", "trials", "level", "expected"),
    [
        (50, 50, 0.95, (0.928652, 1.0)),  # 50 / (50 + 1.959964^2)
        (0, 50, 0.95, (0.0, 0.071348)),
        (25, 50, 0.95, (0.366445, 0.633555)),
        (1, 10, 0.95, (0.017876, 0.404150)),
        (0, 1, 0.99, (0.0, 0.869023)),
    ],
)
def test_wilson_interval_has_its_known_values(
    successes: int, trials: int, level: float, expected: tuple[float, float]
) -> None:
    assert wilson_interval(successes, trials, level) == pytest.approx(expected, abs=2e-6)


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_wilson_interval_holds_the_rate_and_mirrors(case: tuple[int, int], level: float) -> None:
    k, n = case
    low, high = wilson_interval(k, n, level)
    assert 0 <= low <= k / n <= high <= 1 and high > low
    assert wilson_interval(n - k, n, level) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize(("successes", "trials", "level"), [(3, 2, 0.95), (-1, 2, 0.95), (0, 0, 0.95), (1, 2, 1.0)])
def test_wilson_interval_refuses_nonsense(successes: int, trials: int, level: float) -> None:
    with pytest.raises(QamError):
        wilson_interval(successes, trials, level)


def test_one_seed_has_the_interval_of_its_episodes_and_a_few_have_none() -> None:
    assert seeds_interval(np.array([0.9]), 50) == wilson_interval(45, 50)
    assert all(seeds_interval(np.linspace(0, 1, seeds), 50) is None for seeds in (2, 3, 4))


def test_one_seed_of_five_that_succeeds_leaves_the_mean_uncertain() -> None:
    """Its episodes are not five seeds' worth: pooled, they would give 0.15 to 0.25."""
    low, high = seeds_interval(np.array([1.0, 0, 0, 0, 0]), 50) or (np.nan, np.nan)
    assert (low, high) == (0.0, 0.6)
    assert (low, high) == task_mean([np.array([1.0, 0, 0, 0, 0])])[1:]
