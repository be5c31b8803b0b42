"""The figures show the numbers they are given, and their files are whole or absent."""

import csv
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.text import Text

from qam_torch.plotting.evaluation_curves import plot_return, plot_success, return_figure, success_figure
from qam_torch.plotting.mazes import plot_trajectories, trajectories_figure
from qam_torch.plotting.metric_panels import group_metrics
from qam_torch.plotting.step_axis import step_of_update
from qam_torch.plotting.training_curves import losses_figure, plot_losses
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.stats.wilson import wilson_interval
from qam_torch.types import MazeLayout, QamError

DPI, BLUE, ORANGE, VERMILION = 130, "#0072b2", "#e69f00", "#d55e00"
TERMINAL = ["adjoint/terminal_mean", "adjoint/terminal_std", "adjoint/terminal_max"]
QAM = ["critic/loss", "critic/q_mean", "critic/q_max", "critic/q_min", "critic/target_mean", "critic/target_max"]
QAM = [*QAM, "critic/target_min", "behavior/loss", "adjoint/loss", *TERMINAL]
QAM = [*QAM, "gradient/norm"]
QAM_F = [*QAM, "one_step/distillation_loss", "one_step/q_loss"]
QAM_E = [*QAM, "edit/q_loss", "edit/entropy_loss", "edit/entropy", "edit/alpha_loss", "edit/alpha"]
EVALUATION = ["evaluation/success", "evaluation/return", "evaluation/length", "evaluation/seconds"]


def write(path: Path, training: list[str], rows: list[dict[str, float]]) -> Path:
    """A metrics.csv; what a row does not name is blank."""
    columns = ["update", "seed", "seconds", *training, *EVALUATION]
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def training_rows(names: list[str], updates: int, seeds: tuple[int, ...] = (1,)) -> list[dict[str, float]]:
    rng = np.random.default_rng(0)
    return [
        {"update": 10 * (u + 1), "seed": s, "seconds": u, **{name: rng.uniform(0.5, 20.0) for name in names}}
        for u in range(updates)
        for s in seeds
    ]


def evaluation_rows(rates: dict[int, list[float]], seeds: tuple[int, ...]) -> list[dict[str, float]]:
    return [
        {"update": update, "seed": seed, "evaluation/success": rate}
        for update, of_seeds in rates.items()
        for seed, rate in zip(seeds, of_seeds, strict=True)
    ]


def png_size(path: Path) -> tuple[int, int]:
    header = path.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n" and header[12:16] == b"IHDR"
    return struct.unpack(">II", header[16:])


def panels_of(figure: Figure) -> list[Any]:
    """The axes, without matplotlib's unions of everything that might be in them."""
    return list(figure.axes)


def labelled(figure: Figure, panel: int = 0) -> dict[str, Any]:
    handles, labels = panels_of(figure)[panel].get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


@pytest.fixture
def population(tmp_path: Path) -> dict[str, np.ndarray]:
    """Two seeds, three evaluations of four episodes each, in rows apart from those of training."""
    rates = {10: [0.0, 0.0], 20: [0.25, 0.75], 30: [1.0, 1.0]}
    rows = training_rows(QAM, 3, (7, 8)) + evaluation_rows(rates, (7, 8))
    return read_metrics(write(tmp_path / "metrics.csv", QAM, rows))


def test_blank_cells_are_nan_and_numbers_are_kept(population: dict[str, np.ndarray]) -> None:
    assert population["seed"].tolist() == [7, 8] * 6
    assert population["update"].tolist() == [10, 10, 20, 20, 30, 30] * 2
    success = population["evaluation/success"]
    assert np.isnan(success[:6]).all() and success[6:].tolist() == [0, 0, 0.25, 0.75, 1, 1]
    assert np.isfinite(population["critic/loss"][:6]).all() and np.isnan(population["critic/loss"][6:]).all()
    assert np.isnan(population["evaluation/return"]).all()


def test_a_line_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "metrics.csv", QAM, training_rows(QAM, 3))
    whole = read_metrics(path)
    path.write_text(path.read_text() + "40,1,0.5,3.1")
    assert all(np.array_equal(column, whole[name], equal_nan=True) for name, column in read_metrics(path).items())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no header"),
        ("10,1,0.5\n20,1,0.9\n", "no header"),
        ("update,seed,critic/loss\n10,1,0.5\n20,1\n30,1,0.5\n", "line 3 of .* is damaged: expected 3 numbers"),
        ("update,seed,critic/loss\n10,1,abc\n", "line 2 of .* is damaged"),
        ("update,seed,critic/loss\n10,1,0.5,0.5\n", "line 2 of .* is damaged"),
        ("\xff\xfe\x00", "not text"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "metrics.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(QamError, match=message):
        read_metrics(tmp_path / "metrics.csv")


def test_a_missing_file_and_a_missing_column_are_told(tmp_path: Path, population: dict[str, np.ndarray]) -> None:
    with pytest.raises(QamError, match=r"nothing.csv' cannot be read \(No such file"):
        read_metrics(tmp_path / "nothing.csv")
    with pytest.raises(QamError, match="no column 'evaluation/success'"):
        success_figure({"update": np.ones(1), "seed": np.ones(1)}, 50)
    with pytest.raises(QamError, match="no column 'seed'"):
        losses_figure({"update": np.ones(1), "critic/loss": np.ones(1)})
    wrong: list[dict[str, Any]] = [{"episodes": 0}, *({"episodes": 4, "behavior": b} for b in (1.5, -0.1, (0.5, 0.4)))]
    for arguments in wrong:
        with pytest.raises(QamError, match="is out of range"):
            success_figure(population, **arguments)


def test_success_shows_mean_pooled_interval_seeds_and_behaviour(population: dict[str, np.ndarray]) -> None:
    figure = success_figure(population, episodes=4, behavior=(0.1, 0.02, 0.3), title="a title")
    assert figure is not None
    axes, shown = panels_of(figure)[0], labelled(figure)
    assert axes.get_ylim() == (0, 1) and figure.get_suptitle() == "a title"
    mean = shown["policy, mean over seeds"]
    assert mean.get_xdata().tolist() == [10, 20, 30] and mean.get_ydata().tolist() == [0, 0.5, 1]

    seeds = [line.get_ydata().tolist() for line in axes.lines if line.get_linewidth() < 1]
    assert seeds == [[0, 0.25, 1], [0, 0.75, 1]]

    corners = shown["95 % interval (2 seeds × 4 episodes)"].get_paths()[0].vertices
    for update, successes in ((10, 0), (20, 4), (30, 8)):
        ends = corners[corners[:, 0] == update, 1]
        assert (ends.min(), ends.max()) == pytest.approx(wilson_interval(successes, 8))

    dashed = shown["behaviour flow alone (0.10)"]
    assert set(dashed.get_ydata()) == {0.1} and dashed.get_linestyle() == "--"
    (span,) = axes.patches
    assert (span.get_y(), span.get_height()) == pytest.approx((0.02, 0.28))


def test_a_seed_without_an_evaluation_does_not_count(tmp_path: Path) -> None:
    rows = evaluation_rows({10: [0.5, 1.0]}, (1, 2)) + evaluation_rows({20: [0.5]}, (1,))
    figure = success_figure(read_metrics(write(tmp_path / "metrics.csv", [], rows)), episodes=10)
    assert figure is not None
    shown = labelled(figure)
    assert shown["policy, mean over seeds"].get_ydata().tolist() == [0.75, 0.5]
    corners = shown["95 % interval (2 seeds × 10 episodes)"].get_paths()[0].vertices
    assert corners[corners[:, 0] == 20, 1].max() == pytest.approx(wilson_interval(5, 10)[1])


def test_one_evaluation_of_one_seed_has_a_point_and_an_interval(tmp_path: Path) -> None:
    path = write(tmp_path / "metrics.csv", QAM, evaluation_rows({5000: [0.9]}, (3,)))
    figure = success_figure(read_metrics(path), episodes=50, behavior=0.0)
    assert figure is not None
    shown = labelled(figure)
    assert set(shown) == {"policy", "95 % interval (50 episodes)", "behaviour flow alone (0.00)"}
    assert shown["policy"].get_marker() == "o"
    (segment,) = shown["95 % interval (50 episodes)"].get_segments()
    assert segment[:, 0].tolist() == [5000, 5000] and segment[:, 1] == pytest.approx(wilson_interval(45, 50))


def test_returns_show_mean_seeds_and_behaviour(tmp_path: Path) -> None:
    returns = {10: (-30.0, -10.0), 20: (5.0, 15.0)}
    rows = [
        {"update": update, "seed": seed, "evaluation/return": value}
        for update, values in returns.items()
        for seed, value in zip((7, 8), values, strict=True)
    ]
    metrics = read_metrics(write(tmp_path / "metrics.csv", QAM, rows))
    figure = return_figure(metrics, episodes=4, behavior=-22.5, title="a title")
    assert figure is not None
    axes, shown = panels_of(figure)[0], labelled(figure)
    assert axes.get_ylabel() == "mean return of 2 seeds × 4 episodes" and figure.get_suptitle() == "a title"
    mean = shown["policy, mean over seeds"]
    assert mean.get_xdata().tolist() == [10, 20] and mean.get_ydata().tolist() == [-20, 10]
    assert [line.get_ydata().tolist() for line in axes.lines if line.get_linewidth() < 1] == [[-30, 5], [-10, 15]]
    assert set(shown["behaviour flow alone (-22.5)"].get_ydata()) == {-22.5}
    assert axes.get_ylim()[0] < -30 and axes.get_ylim()[1] > 15
    assert plot_return(metrics, 4, tmp_path / "return.png") is True
    assert plot_return({name: column[:0] for name, column in metrics.items()}, 4, tmp_path / "none.png") is False
    assert png_size(tmp_path / "return.png") == (7 * DPI, round(4.2 * DPI)) and not (tmp_path / "none.png").exists()


@pytest.mark.parametrize(("online", "at"), [(False, 13.0), (True, 25.0)])
def test_a_cross_in_the_cells_colour_stands_where_a_member_diverged(online: bool, at: float) -> None:
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
    told, cross = axes.collections[-2:]
    assert told.get_label() == "diverged" and to_hex(cross.get_edgecolor()[0]) == ORANGE
    np.testing.assert_allclose(cross.get_offsets(), [[at, 0.01 * at + 0.2]])


def test_a_divergence_before_the_first_online_update_stands_in_the_offline_phase() -> None:
    """Rows that made no update repeat the last one."""
    metrics = {"update": np.array([10.0, 20, 20, 20, 30]), "step": np.array([10.0, 20, 25, 30, 40])}
    metrics |= {"phase": np.array([0.0, 0, 1, 1, 1]), "critic/loss": np.ones(5)}
    assert [step_of_update(metrics, update) for update in (5, 15, 20, 25)] == pytest.approx([5, 15, 20, 35])


def test_nothing_is_written_without_an_evaluation_or_without_losses(tmp_path: Path) -> None:
    training = read_metrics(write(tmp_path / "training.csv", QAM, training_rows(QAM, 5)))
    evaluation = read_metrics(write(tmp_path / "evaluation.csv", QAM, evaluation_rows({10: [0.5]}, (1,))))
    before = sorted(tmp_path.iterdir())
    assert plot_success(training, 50, tmp_path / "success.png") is False
    assert plot_losses(evaluation, tmp_path / "losses.png") is False
    header_only = {name: column[:0] for name, column in training.items()}
    assert plot_success(header_only, 50, tmp_path / "success.png") is False
    assert plot_losses(header_only, tmp_path / "losses.png") is False
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(("names", "panels", "size"), [(QAM, 7, (4, 2)), (QAM_F, 9, (3, 3)), (QAM_E, 11, (4, 3))])
def test_losses_have_a_panel_for_each_group(
    tmp_path: Path, names: list[str], panels: int, size: tuple[int, int]
) -> None:
    metrics = read_metrics(write(tmp_path / "metrics.csv", names, training_rows(names, 5)))
    figure = losses_figure(metrics)
    assert figure is not None and len(panels_of(figure)) == panels
    drawn = [line.get_ydata().tolist() for axes in panels_of(figure) for line in axes.lines]
    as_lines = [name for name in names if not name.endswith(("_min", "_max")) or name in TERMINAL]
    assert sorted(drawn) == sorted(metrics[name].tolist() for name in as_lines), "five values need no running median"
    scales = {axes.get_title(loc="left"): axes.get_yscale() for axes in panels_of(figure)}
    logarithmic = ("critic loss", "adjoint-matching loss", "gradient norm")
    assert all(scales[title] == "log" for title in logarithmic) and scales["Q values"] == "linear"

    assert plot_losses(metrics, tmp_path / "losses.png") is True
    columns, rows = size
    assert png_size(tmp_path / "losses.png") == (round(3.3 * columns * DPI), round((2.3 * rows + 0.5) * DPI))


def test_a_mean_lies_in_a_band_from_the_least_to_the_greatest(tmp_path: Path) -> None:
    names = ["critic/target_mean", "critic/target_min", "critic/target_max"]
    rows = [{"update": u, "seed": 1, **dict(zip(names, (u, u - 5.0, u + 9.0), strict=True))} for u in (1, 2, 3)]
    rows[1]["critic/target_max"] = np.inf  # which is not drawn
    figure = losses_figure(read_metrics(write(tmp_path / "metrics.csv", names, rows)))
    assert figure is not None
    (axes,) = panels_of(figure)
    shown = labelled(figure)
    assert axes.get_title(loc="left") == "Q targets" and set(shown) == {"mean", "min to max"}
    assert shown["mean"].get_ydata().tolist() == [1, 2, 3]
    corners = shown["min to max"].get_paths()[0].vertices
    assert {tuple(corner) for corner in corners.tolist()} == {(1, -4), (1, 10), (3, -2), (3, 12)}

    single = losses_figure(read_metrics(write(tmp_path / "single.csv", names, rows[:1])))
    assert single is not None
    (segment,) = labelled(single)["min to max"].get_segments()
    assert segment.tolist() == [[1, -4], [1, 10]]


def test_a_new_methods_metrics_find_their_panels(tmp_path: Path) -> None:
    names = ["collection/return", "dream/u_mean", "dream/u_max", "dream/u_min", "dream/entropy_loss"]
    names += ["dream/rate", "dream/alpha_loss", "dream/alpha", "old_dream/loss"]
    assert [(panel.title, *panel.lines.values(), *(panel.band or ())) for panel in group_metrics(names)] == [
        ("dream u", "mean", "dream/u_min", "dream/u_max"),
        ("dream losses", "entropy", "temperature"),
        ("dream rate", "rate"),
        ("dream temperature", "alpha"),
        ("old dream loss", "loss"),
        ("return of episodes collected", "return"),
    ]
    negative = [{"update": u, "seed": 1, "old_dream/loss": value} for u, value in enumerate((3.0, -1.0, 100.0))]
    figure = losses_figure(read_metrics(write(tmp_path / "metrics.csv", ["old_dream/loss"], negative)))
    assert figure is not None and panels_of(figure)[0].get_yscale() == "linear"


def test_no_legend_covers_a_title(tmp_path: Path) -> None:
    names = [*QAM, "latent/entropy_loss", "latent/alpha_loss", "control/loss", "control/cost", "control/energy"]
    figure = losses_figure(read_metrics(write(tmp_path / "metrics.csv", names, training_rows(names, 5))))
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
    figure = losses_figure(read_metrics(write(tmp_path / "metrics.csv", ["behavior/loss"], rows)))
    assert figure is not None
    faint, strong = panels_of(figure)[0].lines
    assert faint.get_ydata().max() == 1000 and strong.get_ydata().tolist() == [1.0] * 200
    assert faint.get_alpha() < 0.5 and faint.get_linewidth() < strong.get_linewidth()


def test_several_seeds_are_faint_under_their_median(tmp_path: Path) -> None:
    rows = [{"update": u, "seed": s, "behavior/loss": 10.0 * s + u} for u in (1, 2) for s in (1, 2, 6)]
    figure = losses_figure(read_metrics(write(tmp_path / "metrics.csv", ["behavior/loss"], rows)))
    assert figure is not None
    lines = [line.get_ydata().tolist() for line in panels_of(figure)[0].lines]
    assert lines == [[11, 12], [21, 22], [61, 62], [21, 22]]


def test_metrics_without_a_value_are_left_out_and_one_row_is_a_point(tmp_path: Path) -> None:
    row = {"update": 10, "seed": 1, "critic/loss": 2.0, "adjoint/loss": 0.0, "gradient/norm": np.inf}
    path = write(tmp_path / "metrics.csv", [*QAM, "collection/return"], [row])
    figure = losses_figure(read_metrics(path))
    assert figure is not None
    panels = {axes.get_title(loc="left"): axes for axes in panels_of(figure)}
    assert list(panels) == ["critic loss", "adjoint-matching loss"]
    assert panels["critic loss"].lines[0].get_marker() == "o"
    zero = panels["adjoint-matching loss"]
    assert zero.get_yscale() == "linear" and zero.lines[0].get_ydata().tolist() == [0]
    assert plot_losses(read_metrics(path), tmp_path / "losses.png") is True


@pytest.fixture
def layout() -> MazeLayout:
    walls = np.ones((4, 6), bool)
    walls[1:3, 1:5] = False
    walls[2, 1] = True  # so that no two sides are alike
    return MazeLayout(walls, 4.0, (-4.0, -4.0), (0.0, 0.0), (12.0, 4.0), 1.0)


PATHS = [np.array([[0.0, 0.0], [6.0, 1.0], [12.0, 3.5]]), np.array([[0.0, 0.0], [4.0, 4.0]]), np.zeros((1, 2))]


def paths_of(figure: Figure, panel: int, color: str) -> list[list[list[float]]]:
    groups = [part for part in panels_of(figure)[panel].collections if isinstance(part, LineCollection)]
    (group,) = [part for part in groups if to_hex(np.asarray(part.get_color())[0]) == color]
    return [segment.tolist() for segment in group.get_segments()]


def test_paths_are_coloured_by_outcome_over_the_maze(layout: MazeLayout) -> None:
    figure = trajectories_figure(layout, PATHS, [True, False, False], title="a title")
    (axes,) = panels_of(figure)
    assert paths_of(figure, 0, BLUE) == [PATHS[0].tolist()]
    assert paths_of(figure, 0, VERMILION) == [path.tolist() for path in PATHS[1:]]
    crosses = [part.get_offsets().tolist() for part in axes.collections if not isinstance(part, LineCollection)]
    assert crosses == [[[4, 4], [0, 0]]], "failed episodes are marked where they ended"
    (image,) = axes.images
    assert np.array_equal(image.get_array(), layout.walls) and tuple(image.get_extent()) == layout.extent
    assert (*axes.get_xlim(), *axes.get_ylim()) == layout.extent and axes.get_aspect() == 1
    (goal,) = [patch for patch in axes.patches if isinstance(patch, Circle)]
    assert goal.center == layout.goal and goal.radius == layout.goal_radius
    shown = labelled(figure)
    for name, place in (("start", layout.start), ("goal", layout.goal)):
        assert tuple(np.ravel(shown[name].get_data())) == place
    assert axes.get_title(loc="left") == "policy: 1 of 3 reached the goal" and figure.get_suptitle() == "a title"


def test_two_policies_are_compared_side_by_side(tmp_path: Path, layout: MazeLayout) -> None:
    compare = (PATHS[1:], np.array([False, False]), "behaviour flow alone")
    figure = trajectories_figure(layout, PATHS[:1], np.array([True]), compare=compare)
    titles = [axes.get_title(loc="left") for axes in panels_of(figure)]
    assert titles == ["policy: 1 of 1 reached the goal", "behaviour flow alone: 0 of 2 reached the goal"]
    assert paths_of(figure, 1, VERMILION) == [path.tolist() for path in PATHS[1:]]

    height = round((4.2 * 4 / 6 + 1.2) * DPI)
    for panels, other in ((1, None), (2, compare)):
        plot_trajectories(layout, PATHS[:1], [True], tmp_path / "maze.png", compare=other)
        width, actual_height = png_size(tmp_path / "maze.png")
        assert width == round(4.6 * panels * DPI) and abs(actual_height - height) <= 1


@pytest.mark.parametrize("panels", [1, 2])
def test_the_legend_is_whole_and_outside_the_maze(layout: MazeLayout, panels: int) -> None:
    compare = (PATHS, [True] * 3, "another") if panels == 2 else None
    figure = trajectories_figure(layout, PATHS, [True, True, False], "a title", compare)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0
    assert len(panels_of(figure)) == panels
    assert not any(axes.get_window_extent().overlaps(box) for axes in panels_of(figure))


def test_walls_are_grey_where_the_layout_has_them(layout: MazeLayout) -> None:
    figure = trajectories_figure(layout, [], [])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = panels_of(figure)
    rows, columns = np.indices(layout.walls.shape)
    corner = layout.cell_size * 0.3  # beside the marks of start and goal
    xy = np.stack([columns, rows], -1).reshape(-1, 2) * layout.cell_size + np.array(layout.origin) + corner
    x, y = axes.transData.transform(xy).astype(int).T
    image = np.asarray(canvas.buffer_rgba())
    white = (image[image.shape[0] - 1 - y, x, :3] == 255).all(-1)
    assert np.array_equal(~white.reshape(layout.walls.shape), layout.walls)


@pytest.mark.parametrize(
    ("paths", "success"), [(PATHS, [True]), ([np.zeros((5, 3))], [True]), ([np.zeros((0, 2))], [False])]
)
def test_trajectories_of_other_shapes_are_refused(
    layout: MazeLayout, paths: list[np.ndarray], success: list[bool]
) -> None:
    with pytest.raises(QamError, match="expected positions"):
        trajectories_figure(layout, paths, success)


def test_a_file_is_replaced_whole_or_kept(
    tmp_path: Path, population: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "plots" / "success.png"
    with pytest.raises(QamError, match=r"could not write .*success.png' \(No such file"):
        plot_success(population, 4, target)
    target.parent.mkdir()
    target.write_bytes(b"old")
    with monkeypatch.context() as patch:

        def full(self: Figure, path: Path, **options: object) -> None:
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")

        patch.setattr(Figure, "savefig", full)
        with pytest.raises(QamError, match="No space left on device"):
            plot_success(population, 4, target)
    assert target.read_bytes() == b"old" and list(target.parent.iterdir()) == [target]
    assert plot_success(population, 4, target) is True
    assert png_size(target) == (7 * DPI, round(4.2 * DPI)) and list(target.parent.iterdir()) == [target]


def test_matplotlib_is_left_as_it_was(tmp_path: Path) -> None:
    path = write(tmp_path / "metrics.csv", QAM, training_rows(QAM, 2) + evaluation_rows({10: [0.5]}, (1,)))
    code = f"""
import sys, matplotlib
before = dict(dict.items(matplotlib.rcParams))  # the plain items: asking for the backend would choose one
from qam_torch.plotting.training_curves import plot_losses
from qam_torch.plotting.metric_panels import group_metrics
from qam_torch.plotting.evaluation_curves import plot_success
from qam_torch.rundir.metrics_file import read_metrics
metrics = read_metrics({str(path)!r})
assert plot_losses(metrics, {str(tmp_path / "losses.png")!r})
assert plot_success(metrics, 50, {str(tmp_path / "success.png")!r})
print(before == dict(dict.items(matplotlib.rcParams)), "matplotlib.pyplot" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["True", "False"], done.stderr


def both_phases(offline: list[int], online: list[int], tmp_path: Path, trained: bool = True) -> dict[str, np.ndarray]:
    """An evaluation at each of these steps, and a loss, those of the offline phase only if it was `trained` in."""
    rows = [(step, "offline", "0.5" if trained else "") for step in offline] + [
        (step, "online", "0.5") for step in online
    ]
    lines = [f"{step},{phase},{step},1,{loss},0.75,-3" for step, phase, loss in rows]
    columns = "step,phase,update,seed,critic/loss,evaluation/success,evaluation/return"
    (tmp_path / "metrics.csv").write_text("\n".join([columns, *lines]) + "\n")
    return read_metrics(tmp_path / "metrics.csv")


BOTH = "updates offline (shaded), then environment steps online"


@pytest.mark.parametrize(
    ("offline", "trained", "online", "points", "label", "shaded"),
    [
        ([10, 20], True, [], [10, 20], "updates", None),
        ([10, 20], True, [30, 50], [10, 20, 30, 50], BOTH, (0, 20)),
        ([20], True, [30, 50], [20, 30, 50], BOTH, (0, 20)),  # logged once while offline
        ([20], False, [30, 50], [0, 10, 30], "environment steps online", None),  # from a checkpoint
        ([0], False, [30, 50], [0, 30, 50], "environment steps online", None),  # online only
    ],
)
def test_the_phase_change_is_shown(
    offline: list[int], trained: bool, online: list[int], points: list[int], label: str,
    shaded: tuple[float, float] | None, tmp_path: Path,
) -> None:  # fmt: skip
    metrics = both_phases(offline, online, tmp_path, trained)
    for figure in (success_figure(metrics, 4), return_figure(metrics, 4), losses_figure(metrics)):
        assert figure is not None
        for axes in panels_of(figure):
            assert axes.get_xlim() == (0, points[-1])
            ends = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
            assert ends == ([shaded] if shaded else [])
        assert label == (figure.get_supxlabel() or panels_of(figure)[0].get_xlabel())
    success = success_figure(metrics, 4)
    assert success is not None and labelled(success)["policy"].get_xdata().tolist() == points
