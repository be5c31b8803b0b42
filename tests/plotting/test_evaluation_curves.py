"""Evaluation curves show the numbers they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex

from qam_torch.plotting.evaluation_curves import metrics_figure, return_figure, success_figure
from qam_torch.plotting.style import save_figure
from qam_torch.plotting.training_curves import losses_figure
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.stats.success import seeds_interval, wilson_interval
from qam_torch.types import QamError
from tests.helpers.metric_rows import QAM, evaluation_rows, is_png, labeled, panels_of, training_rows, write_metrics

ORANGE = "#e69f00"


@pytest.fixture
def population(tmp_path: Path) -> dict[str, np.ndarray]:
    """Two seeds, three evaluations of four episodes each, in rows apart from those of training."""
    rates = {10: [0.0, 0.0], 20: [0.25, 0.75], 30: [1.0, 1.0]}
    rows = training_rows(QAM, 3, (7, 8)) + evaluation_rows(rates, (7, 8))
    return read_metrics(write_metrics(tmp_path / "metrics.csv", QAM, rows))


def test_missing_columns_and_values_out_of_range_are_refused(population: dict[str, np.ndarray]) -> None:
    with pytest.raises(QamError, match="no column 'evaluation/success'"):
        success_figure({"update": np.ones(1), "seed": np.ones(1)}, 50)
    with pytest.raises(QamError, match="no column 'seed'"):
        losses_figure({"update": np.ones(1), "critic/loss": np.ones(1)})
    wrong: list[dict[str, Any]] = [{"episodes": 0}, *({"episodes": 4, "behavior": b} for b in (1.5, -0.1, (0.5, 0.4)))]
    for arguments in wrong:
        with pytest.raises(QamError, match="is out of range"):
            success_figure(population, **arguments)


def test_success_shows_mean_seeds_and_behavior_and_no_band_over_a_few_seeds(population: dict[str, np.ndarray]) -> None:
    figure = success_figure(population, episodes=4, behavior=(0.1, 0.02, 0.3), title="a title")
    assert figure is not None
    axes, shown = panels_of(figure)[0], labeled(figure)
    assert axes.get_ylim() == (0, 1) and figure.get_suptitle() == "a title"
    mean = shown["policy, mean over 2 seeds"]
    assert mean.get_xdata().tolist() == [10, 20, 30] and mean.get_ydata().tolist() == [0, 0.5, 1]

    seeds = [line.get_ydata().tolist() for line in axes.lines if line.get_linewidth() < 1]
    assert seeds == [[0, 0.25, 1], [0, 0.75, 1]]

    assert not any("interval" in name for name in shown) and not axes.collections

    dashed = shown["behavior flow alone (0.10)"]
    assert set(dashed.get_ydata()) == {0.1} and dashed.get_linestyle() == "--"
    (span,) = axes.patches
    assert (span.get_y(), span.get_height()) == pytest.approx((0.02, 0.28))


def test_five_seeds_have_the_bootstrap_over_seeds_and_one_without_an_evaluation_does_not_count(tmp_path: Path) -> None:
    last = [0.5, 0.5, 1.0, 0.0, 0.3]
    rows = evaluation_rows({10: [0.5, 1.0, 0.0, 0.2, 0.3, 0.4]}, range(6)) + evaluation_rows({20: last}, range(5))
    figure = success_figure(read_metrics(write_metrics(tmp_path / "metrics.csv", [], rows)), episodes=10)
    assert figure is not None
    shown = labeled(figure)
    assert shown["policy, mean over 6 seeds"].get_ydata() == pytest.approx([0.4, 0.46])
    corners = shown["95% interval over seeds (6 seeds × 10 episodes)"].get_paths()[0].vertices
    ends = corners[corners[:, 0] == 20, 1]
    assert (ends.min(), ends.max()) == pytest.approx(seeds_interval(np.array(last), 10))


def test_one_evaluation_of_one_seed_has_a_point_and_an_interval(tmp_path: Path) -> None:
    path = write_metrics(tmp_path / "metrics.csv", QAM, evaluation_rows({5000: [0.9]}, (3,)))
    figure = success_figure(read_metrics(path), episodes=50, behavior=0.0)
    assert figure is not None
    shown = labeled(figure)
    assert set(shown) == {"policy", "95% interval over episodes (50 episodes)", "behavior flow alone (0.00)"}
    assert shown["policy"].get_marker() == "o"
    (segment,) = shown["95% interval over episodes (50 episodes)"].get_segments()
    assert segment[:, 0].tolist() == [5000, 5000] and segment[:, 1] == pytest.approx(wilson_interval(45, 50))


def test_returns_show_mean_seeds_and_behavior(tmp_path: Path) -> None:
    returns = {10: (-30.0, -10.0), 20: (5.0, 15.0)}
    rows = [
        {"update": update, "seed": seed, "evaluation/return": value}
        for update, values in returns.items()
        for seed, value in zip((7, 8), values, strict=True)
    ]
    metrics = read_metrics(write_metrics(tmp_path / "metrics.csv", QAM, rows))
    figure = return_figure(metrics, episodes=4, behavior=-22.5, title="a title")
    assert figure is not None
    axes, shown = panels_of(figure)[0], labeled(figure)
    assert axes.get_ylabel() == "mean return of 2 seeds × 4 episodes" and figure.get_suptitle() == "a title"
    mean = shown["policy, mean over 2 seeds"]
    assert mean.get_xdata().tolist() == [10, 20] and mean.get_ydata().tolist() == [-20, 10]
    assert [line.get_ydata().tolist() for line in axes.lines if line.get_linewidth() < 1] == [[-30, 5], [-10, 15]]
    assert set(shown["behavior flow alone (-22.5)"].get_ydata()) == {-22.5}
    assert axes.get_ylim()[0] < -30 and axes.get_ylim()[1] > 15
    assert save_figure(return_figure(metrics, 4), tmp_path / "return.png") is True
    assert (
        save_figure(return_figure({name: column[:0] for name, column in metrics.items()}, 4), tmp_path / "none.png")
        is False
    )
    assert is_png(tmp_path / "return.png") and not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(("online", "at"), [(False, 13.0), (True, 25.0)])
def test_a_cross_in_the_cells_color_stands_where_a_member_diverged(online: bool, at: float) -> None:
    """At its update while offline; while online, where four updates were made in ten steps, between the logged ones."""
    steps = np.repeat([0, 10, 20, 30], 4)
    update = np.where(steps > 20, 24, steps) if online else steps
    lost = 22.0 if online else 13.0
    member = np.tile(np.arange(4), 4)
    metrics = {
        "step": steps,
        "phase": (steps > 20) * float(online),
        "update": update,
        "member": member,
        "seed": member % 2,
        "critic/loss": np.ones(16),
        "diverged": np.where((member == 2) & (update > lost), lost, np.nan),
        "evaluation/success": 0.01 * steps + 0.1 * member,
    }
    figure = success_figure(metrics, episodes=10, cells=["a=1", "a=1", "a=2", "a=2"])
    assert figure is not None
    (axes,) = figure.axes
    marks, cross = axes.collections[-2:]
    assert marks.get_label() == "diverged" and to_hex(cross.get_edgecolor()[0]) == ORANGE
    np.testing.assert_allclose(cross.get_offsets(), [[at, 0.01 * at + 0.2]])


def test_a_diverged_member_without_a_value_of_a_metric_has_no_cross() -> None:
    metrics = {
        "update": np.repeat([10.0, 20.0], 2),
        "seed": np.tile([1.0, 2.0], 2),
        "evaluation/time_to_goal": np.array([3.0, np.nan, 4.0, np.nan]),
        "diverged": np.array([np.nan, np.nan, np.nan, 15.0]),
    }
    figure = metrics_figure(metrics, ["time_to_goal"], episodes=5)
    assert figure is not None
    (marks,) = figure.axes[0].collections
    assert marks.get_label() == "diverged" and len(marks.get_offsets()) == 0


def test_nothing_is_written_without_an_evaluation_or_without_losses(tmp_path: Path) -> None:
    training = read_metrics(write_metrics(tmp_path / "training.csv", QAM, training_rows(QAM, 5)))
    evaluation = read_metrics(write_metrics(tmp_path / "evaluation.csv", QAM, evaluation_rows({10: [0.5]}, (1,))))
    before = sorted(tmp_path.iterdir())
    assert save_figure(success_figure(training, 50), tmp_path / "success.png") is False
    assert save_figure(losses_figure(evaluation), tmp_path / "losses.png") is False
    header_only = {name: column[:0] for name, column in training.items()}
    assert save_figure(success_figure(header_only, 50), tmp_path / "success.png") is False
    assert save_figure(losses_figure(header_only), tmp_path / "losses.png") is False
    assert sorted(tmp_path.iterdir()) == before
