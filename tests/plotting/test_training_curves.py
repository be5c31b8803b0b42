"""Training curves show every logged value, grouped into panels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

from qam_torch.plotting.style import save_figure
from qam_torch.plotting.training_curves import losses_figure
from qam_torch.rundir.metrics_file import read_metrics
from tests.helpers.metric_rows import (
    QAM,
    QAM_E,
    QAM_F,
    TERMINAL,
    is_png,
    labeled,
    panels_of,
    training_rows,
    write_metrics,
)


@pytest.mark.parametrize(("names", "panels"), [(QAM, 7), (QAM_F, 9), (QAM_E, 11)])
def test_losses_have_a_panel_for_each_group(tmp_path: Path, names: list[str], panels: int) -> None:
    metrics = read_metrics(write_metrics(tmp_path / "metrics.csv", names, training_rows(names, 5)))
    figure = losses_figure(metrics)
    assert figure is not None and len(panels_of(figure)) == panels
    drawn = [line.get_ydata().tolist() for axes in panels_of(figure) for line in axes.lines]
    as_lines = [name for name in names if not name.endswith(("_min", "_max")) or name in TERMINAL]
    assert sorted(drawn) == sorted(metrics[name].tolist() for name in as_lines), "five values need no running median"
    scales = {axes.get_title(loc="left"): axes.get_yscale() for axes in panels_of(figure)}
    logarithmic = ("critic loss", "adjoint-matching loss", "gradient norm")
    assert all(scales[title] == "log" for title in logarithmic) and scales["Q values"] == "linear"

    assert save_figure(losses_figure(metrics), tmp_path / "losses.png") is True and is_png(tmp_path / "losses.png")


def test_a_mean_lies_in_a_band_from_the_least_to_the_greatest(tmp_path: Path) -> None:
    names = ["critic/target_mean", "critic/target_min", "critic/target_max"]
    rows = [{"update": u, "seed": 1, **dict(zip(names, (u, u - 5.0, u + 9.0), strict=True))} for u in (1, 2, 3)]
    rows[1]["critic/target_max"] = np.inf  # which is not drawn
    figure = losses_figure(read_metrics(write_metrics(tmp_path / "metrics.csv", names, rows)))
    assert figure is not None
    (axes,) = panels_of(figure)
    shown = labeled(figure)
    assert axes.get_title(loc="left") == "Q targets" and set(shown) == {"mean", "min to max"}
    assert shown["mean"].get_ydata().tolist() == [1, 2, 3]
    corners = shown["min to max"].get_paths()[0].vertices
    assert {tuple(corner) for corner in corners.tolist()} == {(1, -4), (1, 10), (3, -2), (3, 12)}

    single = losses_figure(read_metrics(write_metrics(tmp_path / "single.csv", names, rows[:1])))
    assert single is not None
    (segment,) = labeled(single)["min to max"].get_segments()
    assert segment.tolist() == [[1, -4], [1, 10]]


def test_no_legend_covers_a_title(tmp_path: Path) -> None:
    names = [*QAM, "latent/entropy_loss", "latent/alpha_loss", "control/loss", "control/cost", "control/energy"]
    figure = losses_figure(read_metrics(write_metrics(tmp_path / "metrics.csv", names, training_rows(names, 5))))
    assert figure is not None
    figure.draw_without_rendering()
    legends = [axes for axes in panels_of(figure) if axes.get_legend() is not None]
    assert len(legends) == 5
    for axes in legends:
        (title,) = [text for text in axes.findobj(Text) if text.get_text() == axes.get_title(loc="left")]
        assert not axes.get_legend().get_window_extent().overlaps(title.get_window_extent()), title.get_text()


def test_a_long_noisy_metric_is_faint_under_its_running_median(tmp_path: Path) -> None:
    rows = [{"update": u, "seed": 1, "behavior/loss": 1.0} for u in range(200)]
    rows[50]["behavior/loss"] = 1000.0
    figure = losses_figure(read_metrics(write_metrics(tmp_path / "metrics.csv", ["behavior/loss"], rows)))
    assert figure is not None
    faint, strong = panels_of(figure)[0].lines
    assert faint.get_ydata().max() == 1000 and strong.get_ydata().tolist() == [1.0] * 200
    assert faint.get_alpha() < 0.5 and faint.get_linewidth() < strong.get_linewidth()


def test_several_seeds_are_faint_under_their_median(tmp_path: Path) -> None:
    rows = [{"update": u, "seed": s, "behavior/loss": 10.0 * s + u} for u in (1, 2) for s in (1, 2, 6)]
    figure = losses_figure(read_metrics(write_metrics(tmp_path / "metrics.csv", ["behavior/loss"], rows)))
    assert figure is not None
    lines = [line.get_ydata().tolist() for line in panels_of(figure)[0].lines]
    assert lines == [[11, 12], [21, 22], [61, 62], [21, 22]]


def test_metrics_without_a_value_are_left_out_and_one_row_is_a_point(tmp_path: Path) -> None:
    row = {"update": 10, "seed": 1, "critic/loss": 2.0, "adjoint/loss": 0.0, "gradient/norm": np.inf}
    path = write_metrics(tmp_path / "metrics.csv", [*QAM, "collection/return"], [row])
    figure = losses_figure(read_metrics(path))
    assert figure is not None
    panels = {axes.get_title(loc="left"): axes for axes in panels_of(figure)}
    assert list(panels) == ["critic loss", "adjoint-matching loss"]
    assert panels["critic loss"].lines[0].get_marker() == "o"
    zero = panels["adjoint-matching loss"]
    assert zero.get_yscale() == "linear" and zero.lines[0].get_ydata().tolist() == [0]
    assert save_figure(losses_figure(read_metrics(path)), tmp_path / "losses.png") is True


def test_a_logarithmic_panel_with_a_negative_value_is_linear(tmp_path: Path) -> None:
    negative = [{"update": u, "seed": 1, "old_dream/loss": value} for u, value in enumerate((3.0, -1.0, 100.0))]
    figure = losses_figure(read_metrics(write_metrics(tmp_path / "metrics.csv", ["old_dream/loss"], negative)))
    assert figure is not None and panels_of(figure)[0].get_yscale() == "linear"
