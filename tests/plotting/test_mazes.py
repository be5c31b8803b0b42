"""Trajectories are drawn in the maze's coordinates, by outcome."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from qam_torch.plotting.mazes import trajectories_figure
from qam_torch.plotting.style import save_figure
from qam_torch.types import MazeLayout, QamError
from tests.helpers.metric_rows import is_png, labeled, panels_of

BLUE, VERMILION = "#0072b2", "#d55e00"


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


def test_paths_are_colored_by_outcome_over_the_maze(layout: MazeLayout) -> None:
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
    shown = labeled(figure)
    for name, place in (("start", layout.start), ("goal", layout.goal)):
        assert tuple(np.ravel(shown[name].get_data())) == place
    assert axes.get_title(loc="left") == "policy: 1 of 3 reached the goal" and figure.get_suptitle() == "a title"


def test_two_policies_are_compared_side_by_side(tmp_path: Path, layout: MazeLayout) -> None:
    compare = (PATHS[1:], np.array([False, False]), "behavior flow alone")
    figure = trajectories_figure(layout, PATHS[:1], np.array([True]), compare=compare)
    titles = [axes.get_title(loc="left") for axes in panels_of(figure)]
    assert titles == ["policy: 1 of 1 reached the goal", "behavior flow alone: 0 of 2 reached the goal"]
    assert paths_of(figure, 1, VERMILION) == [path.tolist() for path in PATHS[1:]]
    assert save_figure(trajectories_figure(layout, PATHS[:1], [True], compare=compare), tmp_path / "maze.png")
    assert is_png(tmp_path / "maze.png")


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


def test_walls_are_gray_where_the_layout_has_them(layout: MazeLayout) -> None:
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
