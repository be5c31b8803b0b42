"""The measures of a report: small cases by hand, and rliable's own numbers where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from qam_torch.stats.bootstrap import (
    Estimate,
    curve_of_means,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    task_mean,
)


def scores(*tasks: list[float]) -> list[np.ndarray]:
    return [np.array(task, dtype=float) for task in tasks]


def random_scores(seed: int, seeds: int, tasks: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).beta(2, 1, (tasks, seeds)))


def test_a_task_counts_as_much_as_another_however_many_seeds_it_has() -> None:
    assert task_mean(scores([0, 1], [1, 1, 1, 1])).value == pytest.approx(0.75)


def test_the_interval_of_two_seeds_is_between_the_two() -> None:
    """Drawn are both seeds, or one of them twice, a quarter of the time each: the ends are the seeds themselves."""
    assert task_mean(scores([0.2, 0.6])) == pytest.approx(Estimate(0.4, 0.2, 0.6))


def test_strata_are_drawn_each_for_itself() -> None:
    """Two tasks of seeds 0 and 1: a mean is k / 4 with a binomial k; 0 and 1 come up 1/16 of the time each."""
    assert task_mean(scores([0, 1], [0, 1]))[1:] == (0, 1)
    # Eight tasks: below 2.5% lie 0 to 3 of 16 heads (1.1%), with 4 of 16 it is 3.8%.
    assert task_mean(scores(*[[0, 1]] * 8))[1:] == pytest.approx((4 / 16, 12 / 16))


@pytest.mark.slow
def test_the_interval_is_about_that_of_the_normal_distribution_where_that_holds() -> None:
    drawn = np.random.default_rng(0).normal(size=400)
    found, half = task_mean([drawn]), 1.96 * drawn.std() / 20
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.1 * half)


def test_one_seed_has_no_interval() -> None:
    for found in (task_mean(scores([0.5], [0.1, 0.2])), interquartile_mean(scores([0.5]))):
        assert not found.bounded and np.isnan(found.high)
    assert np.isnan(performance_profile(scores([0.5]), np.array([0.1]))[1]).all()
    assert not probability_of_improvement(scores([0.5, 0.6]), scores([0.5])).bounded


def test_the_interquartile_mean_leaves_out_a_quarter_at_either_end_of_all_runs() -> None:
    assert interquartile_mean(scores([0, 3, 4, 100])).value == 3.5
    assert interquartile_mean(scores([0, 3], [4, 100])).value == 3.5
    assert interquartile_mean(scores([0, 1, 5])).value == 2  # a quarter of three is none


def test_probability_of_improvement_counts_ties_half_and_averages_tasks() -> None:
    """2 wins, 1 tie of 4 pairs; and 4 of 4."""
    better, worse = scores([1, 3], [5, 5]), scores([1, 2], [0, 1])
    assert probability_of_improvement(better, worse).value == pytest.approx((2.5 / 4 + 1) / 2)
    assert probability_of_improvement(worse, better).value == pytest.approx(1 - (2.5 / 4 + 1) / 2)


def test_a_method_is_compared_with_itself_as_with_a_stranger() -> None:
    """Both are drawn independently, though their scores are equal."""
    same = random_scores(0, 6, 1)
    found = probability_of_improvement(same, same)
    assert found.value == 0.5 and found.low < 0.4 and found.high > 0.6


def test_the_profile_is_the_share_above_each_threshold() -> None:
    shares, ends = performance_profile(scores([0.0, 0.5], [0.5, 1.0]), np.array([0.0, 0.5, 1.0]))
    assert shares.tolist() == [0.75, 0.25, 0.0]
    assert ends[0].tolist() == [0.5, 1.0] and ends[2].tolist() == [0.0, 0.0]


def test_a_curve_is_its_points() -> None:
    points = random_scores(1, 5, 3), random_scores(2, 5, 3)
    means, ends = curve_of_means([np.stack(task, axis=1) for task in zip(*points, strict=True)])
    for i, one in enumerate(points):
        assert Estimate(means[i], *ends[i]) == pytest.approx(task_mean(one))


def test_the_same_scores_have_the_same_interval_always() -> None:
    one = random_scores(3, 5, 2)
    assert task_mean(one) == task_mean(one) and interquartile_mean(one) == interquartile_mean(one)


def test_rliable_gives_the_same() -> None:
    """The numbers exactly; the intervals as two bootstraps of 5 000 draws agree."""
    library = pytest.importorskip("rliable.library")
    from rliable import metrics

    x, y = random_scores(4, 6, 5), random_scores(5, 8, 5)
    x_table, y_table = np.stack(x, axis=1), np.stack(y, axis=1)
    thresholds = np.linspace(0, 1, 6)

    def both(table: np.ndarray) -> np.ndarray:
        return np.array([metrics.aggregate_mean(table), metrics.aggregate_iqm(table)])

    values, ends = library.get_interval_estimates({"x": x_table}, both, reps=5000)
    for i, found in enumerate((task_mean(x), interquartile_mean(x))):
        assert found.value == pytest.approx(values["x"][i])
        assert found[1:] == pytest.approx(tuple(ends["x"][:, i]), abs=0.02)

    values, ends = library.get_interval_estimates(
        {"xy": (x_table, y_table)}, metrics.probability_of_improvement, reps=2000
    )
    found = probability_of_improvement(x, y)
    assert found.value == pytest.approx(float(values["xy"]))
    assert found[1:] == pytest.approx(tuple(ends["xy"][:, 0]), abs=0.03)

    shares, bands = library.create_performance_profile({"x": x_table}, thresholds, reps=5000)
    own, own_ends = performance_profile(x, thresholds)
    assert own == pytest.approx(shares["x"])
    assert pytest.approx(bands["x"], abs=0.035) == own_ends.T
