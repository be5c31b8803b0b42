"""Plot trajectories on the map of a maze."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from qam_torch.plotting.style import BLUE, INK, ORANGE, VERMILION, set_title, styled
from qam_torch.types import QamError

if TYPE_CHECKING:
    from qam_torch.types import MazeLayout

__all__ = ["draw_maze", "trajectories_figure"]


@styled
def trajectories_figure(
    layout: MazeLayout,
    trajectories: Sequence[np.ndarray],
    success: Sequence[bool] | np.ndarray,
    title: str | None = None,
    compare: tuple[Sequence[np.ndarray], Sequence[bool] | np.ndarray, str] | None = None,
) -> Figure:
    """Plot trajectories over the map of a maze, colored by whether they reached the goal.

    Args:
        layout: from `maze_layout`.
        trajectories: positions (L, 2) of each episode, in the maze's coordinates.
        success: (episodes,) bool.
        title: title above the figure.
        compare: trajectories, success and name of another policy, which are plotted in a second panel.

    Returns:
        The figure.

    Raises:
        QamError: a trajectory has the wrong shape, or `success` has another length than `trajectories`.
    """
    shown = [(trajectories, success, "policy"), *([compare] if compare else [])]
    rows, columns = layout.walls.shape
    figure = Figure(figsize=(4.6 * len(shown), 4.2 * rows / columns + 1.2), layout="constrained")
    for i, (paths, solved, name) in enumerate(shown):
        paths, solved = [np.asarray(path) for path in paths], np.asarray(solved, bool)
        if len(paths) != solved.size or any(path.ndim != 2 or path.shape[1] != 2 or not len(path) for path in paths):
            raise QamError(
                f"got {len(paths)} trajectories of shapes {sorted({path.shape for path in paths})} and {solved.size} "
                "outcomes: expected positions (length >= 1, 2), and an outcome for each trajectory"
            )
        reached = f"{solved.sum()} of {len(paths)} reached the goal"
        axes = figure.add_subplot(1, len(shown), i + 1, title=f"{name}: {reached}", xlabel="x (m)")
        axes.set_ylabel("" if i else "y (m)")
        draw_maze(axes, layout)
        _draw_paths(axes, paths, solved)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2 * len(shown))
    set_title(figure, title)
    return figure


def draw_maze(axes: Axes, layout: MazeLayout) -> None:
    """Draw walls, start and goal."""
    walls = ListedColormap(["white", "#C9CDD2"])
    axes.imshow(layout.walls, cmap=walls, vmin=0, vmax=1, origin="lower", extent=layout.extent, zorder=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    top: dict[str, Any] = {"linestyle": "", "markeredgecolor": "white", "markeredgewidth": 1, "zorder": 6}
    axes.plot(*layout.start, **top, marker="o", markersize=9, color=INK, label="start")
    axes.plot(*layout.goal, **top, marker="*", markersize=13, color=ORANGE, label="goal")
    axes.add_patch(Circle(layout.goal, layout.goal_radius, facecolor=ORANGE + "40", edgecolor=ORANGE, zorder=5))


def _draw_paths(axes: Axes, paths: Sequence[np.ndarray], solved: np.ndarray) -> None:
    """Draw paths, colored by outcome. The rarer outcome is on top, and failed paths end in a cross."""
    for outcome, color, label in (
        (True, BLUE, "reached the goal"),
        (False, VERMILION, "did not reach it (× = last position)"),
    ):
        group = [path for path, reached in zip(paths, solved, strict=True) if reached == outcome]
        alpha, zorder = (0.8, 3) if 2 * len(group) < len(paths) else (0.45, 2)
        axes.add_collection(LineCollection(group, colors=color, linewidths=0.9, alpha=alpha, zorder=zorder))
        axes.plot([], [], color=color, linewidth=1.8, label=label)
        if not outcome and group:
            ends = np.array([path[-1] for path in group])
            axes.scatter(ends[:, 0], ends[:, 1], marker="x", s=18, color=color, linewidths=1.2, zorder=4)
