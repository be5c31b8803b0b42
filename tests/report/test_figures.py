"""The plots of a report: which curves they draw, over which tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qam_torch.paper import published
from qam_torch.report import figures
from qam_torch.report.blocks import Panel, Panels
from qam_torch.report.collection import collect
from qam_torch.report.figures import curves, profiles, save_panels
from qam_torch.report.results import Group
from tests.helpers.made_up_runs import make_run

ENV = "cube-double-play"


def groups(root: Path) -> Sequence[Group]:
    return collect([root]).groups[ENV]


def drawn(panels: Panels | None, number: int = 0) -> Axes:
    assert panels is not None
    axes = Figure().add_subplot()
    panels.panels[number].draw(axes)
    return axes


def lines(axes: Axes) -> dict[str, np.ndarray]:
    """(n, 2) finite points of each kind of line but the phase's change: own -, own in part :, published --."""
    found = {}
    for line in axes.lines:
        points = np.column_stack([line.get_xdata(), line.get_ydata()]).astype(float)
        if len(points) > 2:
            found[str(line.get_linestyle())] = points[np.isfinite(points).all(1)]
    return found


def test_curves_are_the_means_by_step_of_both_phases_and_their_change_is_marked(tmp_path: Path) -> None:
    arguments = {"offline": 1_000_000, "online": 100_000}
    make_run(tmp_path, seeds=(1, 2, 3), success=lambda seed, step: step / 2e6 + seed / 100, **arguments)
    panels = curves(groups(tmp_path), ENV)
    axes = drawn(panels)
    own = lines(axes)["-"]
    assert own[:, 0].tolist() == list(range(50_000, 1_100_001, 50_000))
    assert own[:, 1] == pytest.approx(own[:, 0] / 2e6 + 0.02)
    theirs = published().curve("QAM", ENV, 1)
    assert lines(axes)["--"].tolist() == np.column_stack([theirs.steps, theirs.success])[:22].tolist()
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == ":"] == [1_000_000]
    assert "Dotted" not in panels.caption


def shaded(panels: Panels) -> bool:
    return len(drawn(panels).patches) > 0


@pytest.mark.slow
def test_the_offline_phase_is_shaded_where_it_is_one_for_all(tmp_path: Path) -> None:
    """Where one run stays offline for longer than another, nothing is shaded."""
    make_run(tmp_path / "a", offline=100_000, online=50_000)
    make_run(tmp_path / "a", algo="fql", offline=100_000)
    panels = curves(groups(tmp_path / "a"), ENV)
    assert shaded(panels) and "by offline updates (shaded), then online environment steps:" in panels.caption
    make_run(tmp_path / "a", algo="dsrl", offline=150_000)
    panels = curves(groups(tmp_path / "a"), ENV)
    assert not shaded(panels) and "and online environment steps after a dotted vertical line:" in panels.caption
    make_run(tmp_path / "b", offline=100_000)
    panels = curves(groups(tmp_path / "b"), ENV)
    assert not shaded(panels) and panels.caption.startswith("Success by offline updates: mean over seeds")
    make_run(tmp_path / "c", algo="rlpd", offline=0, online=100_000)
    panels = curves(groups(tmp_path / "c"), ENV)
    assert not shaded(panels) and panels.caption.startswith("Success by online environment steps: mean over seeds")


@pytest.mark.slow
def test_the_published_mean_of_five_tasks_is_not_drawn_beside_that_of_some(tmp_path: Path) -> None:
    for task in range(1, 5):
        make_run(tmp_path, task=task, offline=200_000)
    panels = curves(groups(tmp_path), ENV)
    assert [panel.title for panel in panels.panels][:2] == [f"{ENV}, mean of its tasks", f"{ENV}, task 1"]
    assert "--" not in lines(drawn(panels)) and "--" in lines(drawn(panels, 1))
    make_run(tmp_path, task=5, offline=200_000)
    assert "--" in lines(drawn(curves(groups(tmp_path), ENV)))


def test_a_mean_is_dotted_from_where_a_task_is_lost(tmp_path: Path) -> None:
    make_run(tmp_path, task=1, offline=200_000, success=0.25)
    make_run(tmp_path, task=2, offline=200_000, success=0.75, reached=100_000, finished=False)
    panels = curves(groups(tmp_path), ENV)
    found = lines(drawn(panels))
    assert found["-"].tolist() == [[50_000, 0.5], [100_000, 0.5]]
    assert found[":"].tolist() == [[100_000, 0.5], [150_000, 0.25], [200_000, 0.25]]
    assert panels.caption.endswith(" Dotted: steps that not all of its tasks have reached.")


def test_profiles_are_compared_on_the_tasks_of_all(tmp_path: Path) -> None:
    """qam's easy task, on which fql was not run, is left out: else qam looked better than it is."""
    make_run(tmp_path, task=1, success=0.295)
    make_run(tmp_path, task=2, success=0.9)
    make_run(tmp_path, task=1, algo="fql", success=0.595)
    panels = profiles(groups(tmp_path), ENV)
    fql, qam = (line.get_ydata() for line in drawn(panels).lines)
    assert np.flatnonzero(np.diff(fql)).tolist() == [59] and np.flatnonzero(np.diff(qam)).tolist() == [29]
    assert panels is not None and panels.caption.endswith(
        "After 100k updates only tasks that all methods share are included: 1."
    )


def test_methods_without_a_task_in_common_have_no_profiles(tmp_path: Path) -> None:
    make_run(tmp_path, task=1)
    make_run(tmp_path, task=2, algo="fql")
    assert profiles(groups(tmp_path), ENV) is None


def test_profiles_are_of_both_phases(tmp_path: Path) -> None:
    """After the offline phase of all, and after the online phase of those that have one."""
    make_run(tmp_path, offline=100_000, online=50_000)
    make_run(tmp_path, algo="qam_e", offline=100_000, online=50_000)
    make_run(tmp_path, algo="fql", offline=100_000)
    make_run(tmp_path, algo="dsrl", offline=50_000)
    panels = profiles(groups(tmp_path), ENV)
    assert panels is not None
    assert [panel.title for panel in panels.panels] == [
        f"{ENV}, after 100k updates",
        f"{ENV}, after 100k updates + 50k steps",
    ]
    assert [len(drawn(panels, number).lines) for number in (0, 1)] == [3, 2]
    assert [method for method, _, _ in panels.legend] == ["fql", "qam", "qam_e"]
    assert "Reached by less than half of the runs of dsrl: 100k updates." in panels.caption


def test_a_run_at_a_threshold_is_not_above_it(tmp_path: Path) -> None:
    make_run(tmp_path, success=0.58)
    make_run(tmp_path, algo="fql", success=0.14)
    fql, qam = (line.get_ydata() for line in drawn(profiles(groups(tmp_path), ENV)).lines)
    assert np.flatnonzero(np.diff(fql)).tolist() == [13] and np.flatnonzero(np.diff(qam)).tolist() == [57]


def test_a_run_that_ends_before_the_published_results_has_none_in_its_legend(tmp_path: Path) -> None:
    make_run(tmp_path / "a", offline=40_000, every=10_000)
    make_run(tmp_path / "b", offline=50_000, every=10_000)
    short, long = (curves(groups(tmp_path / name), ENV) for name in "ab")
    assert [label for label, _, _ in short.legend] == ["qam"] and "Dashed" not in short.caption
    assert [label for label, _, _ in long.legend] == ["qam", "published"] and "Dashed" in long.caption


@pytest.mark.parametrize(
    ("panels", "labels", "beside"),
    [
        (1, ["qam"] * 8, True),
        (1, ["qam"] * 18, False),
        (1, ["qam, algo.num_qs=10, algo.lr=1e-3"], False),
        (2, ["qam"], False),
    ],
)
def test_a_short_legend_is_beside_a_single_panel(
    panels: int, labels: list[str], beside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No legend takes the width of the panels from them, and none is cut off."""
    saved: list[Figure] = []
    monkeypatch.setattr(figures, "save_figure", lambda figure, path: saved.append(figure))
    legend = [(label, "#000000", False) for label in labels]
    save_panels(Panels([Panel("task 1", lambda axes: None)] * panels, legend, "", "x"), tmp_path / "x.png")
    (figure,) = saved
    figure.draw_without_rendering()
    box, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert (box.x0 > axes.x1) == beside and (box.y1 < axes.y0) == (not beside)
    assert box.y0 >= 0 and box.x1 <= figure.bbox.width and axes.width >= 0.6 * figure.bbox.width / panels
    assert axes.height >= 150
