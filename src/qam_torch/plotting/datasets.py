"""Plot a dataset in one figure: a few episodes, the visited positions, the returns for a task, and the actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from qam_torch.plotting.mazes import draw_maze
from qam_torch.plotting.style import BLUE, GREEN, INK, ORANGE, VERMILION, save_figure, styled
from qam_torch.types import MazeLayout

__all__ = ["Example", "Examples", "Scene", "dataset_figure", "plot_dataset"]

# Okabe and Ito's colors for up to eight cubes. The yellow is darker, so that it is visible on white.
_CUBES = (BLUE, ORANGE, GREEN, VERMILION, "#56B4E9", "#CC79A7", "#B8A800", INK)
_SUCCESS = "#FBEFB5"
_GRIPPER, _GREY = "gripper", "#8A8A8A"
_MANY = 100  # number of episodes from which the histogram of returns is logarithmic
_BLUES = LinearSegmentedColormap.from_list("white to blue", ["white", BLUE])


@dataclass(frozen=True)
class Scene:
    """The visible parts of a task.

    Attributes:
        layout: map of the maze; None for the arm.
        goals: name of a body -> its goal position (2,) or (3,) in m. Bodies without a goal are absent.
        cubes: number of cubes in the arm's environment.
        ball: whether the agent has a ball to push.
        actions: names of the action dimensions; empty if they have no names.
    """

    layout: MazeLayout | None
    goals: Mapping[str, np.ndarray]
    cubes: int = 0
    ball: bool = False
    actions: tuple[str, ...] = ()


class Example(NamedTuple):
    """One episode of L transitions.

    Attributes:
        number: index of the episode in the file, from 0.
        positions: name of a body -> its positions (L, 2) or (L, 3) in m.
        rewards: (L,), rewards.
        success: (L,) bool, whether the transition starts in a success state.
    """

    number: int
    positions: Mapping[str, np.ndarray]
    rewards: np.ndarray
    success: np.ndarray


class Examples(NamedTuple):
    """What a figure shows for a task.

    Attributes:
        task: number of the task.
        scene: the task's maze or arm.
        episodes: a few episodes.
        everywhere: name of a body -> its positions (M, 2) or (M, 3) throughout the file.
    """

    task: int
    scene: Scene
    episodes: Sequence[Example]
    everywhere: Mapping[str, np.ndarray]


def plot_dataset(
    path: str | Path, title: str, returns: np.ndarray, action_counts: np.ndarray, examples: Examples, reward: str
) -> None:
    """Save `dataset_figure` atomically as a PNG.

    Raises:
        QamError: the file cannot be written.
    """
    save_figure(dataset_figure(title, returns, action_counts, examples, reward), path)


@styled
def dataset_figure(
    title: str, returns: np.ndarray, action_counts: np.ndarray, examples: Examples, reward: str
) -> Figure:
    """Draw example episodes in the upper part, and visited positions, returns and actions in the lower part.

    Args:
        title: title of the figure, without the task.
        returns: (E,), return of every episode of the dataset.
        action_counts: (A, bins), number of actions in equal bins of [-1, 1], for each action dimension.
        examples: what to show for the task.
        reward: "dense" or "sparse", for the labels.

    Returns:
        The figure.
    """
    layout = examples.scene.layout
    maze = layout is not None
    # A maze's panel keeps the aspect ratio of the maze. The arm's four rows of panels fill the height.
    upper = 0.8 + 3.3 * layout.walls.shape[0] / layout.walls.shape[1] if layout is not None else 6.6
    lower = 3.0
    figure = Figure(figsize=(11, upper + lower), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=(upper, lower), hspace=0.04)
    above, below = parts
    above.suptitle(f"{title}, task {examples.task}", fontweight="bold")
    (_draw_mazes if maze else _draw_arms)(above, examples)
    where, returns_axes, actions_axes = below.subplots(1, 3)
    (_draw_map if maze else _draw_table)(where, examples)
    _draw_returns(returns_axes, returns, reward)
    _draw_actions(actions_axes, action_counts, examples.scene.actions)
    return figure


def _outcome(example: Example) -> str:
    steps, solved = len(example.success), int(example.success.sum())
    return f"episode {example.number}: " + (f"success in {solved} of {steps} steps" if solved else "no success")


def _draw_mazes(figure: SubFigure, examples: Examples) -> None:
    """Draw one map per episode. The color of the path shows the time step."""
    layout = examples.scene.layout
    assert layout is not None
    panels = list(figure.subplots(1, len(examples.episodes), sharey=True, squeeze=False)[0])
    longest = max(len(example.rewards) for example in examples.episodes)
    for axes, example in zip(panels, examples.episodes, strict=True):
        axes.set(title=_outcome(example), xlabel="x (m)")
        draw_maze(axes, layout)
        path, steps = example.positions["agent"], np.arange(len(example.rewards))
        lines = LineCollection(
            list(np.stack([path[:-1], path[1:]], axis=1)), array=steps[:-1], linewidths=1.4, zorder=3
        )
        lines.set(cmap="viridis", clim=(0, longest))
        axes.add_collection(lines)
        if "ball" in example.positions:
            ball, few = example.positions["ball"], slice(None, None, max(1, longest // 40))
            dots: Any = {
                "cmap": "viridis",
                "vmin": 0,
                "vmax": longest,
                "s": 14,
                "edgecolors": "white",
                "linewidths": 0.4,
            }
            axes.scatter(*ball[few].T, c=steps[few], **dots, zorder=4)
    panels[0].set_ylabel("y (m)")
    if "ball" in examples.everywhere:
        panels[0].plot([], [], color=GREEN, marker="o", markersize=4, linestyle="", label="ball")
    panels[0].legend(
        loc="upper left", ncols=3, borderaxespad=0.2, handlelength=1.2
    )  # the map's corner is always a wall
    figure.colorbar(lines, ax=panels, label="step", shrink=0.8, aspect=28, pad=0.01)


def _draw_arms(figure: SubFigure, examples: Examples) -> None:
    """Draw one column per episode: x, y and z of the gripper and of the cubes, and the reward, over time."""
    goals = examples.scene.goals
    grid = figure.subplots(4, len(examples.episodes), sharex="col", sharey="row", squeeze=False)
    for column, example in zip(grid.T, examples.episodes, strict=True):
        column[0].set_title(_outcome(example))
        for axis, axes in enumerate(column[:3]):
            for name, path in example.positions.items():
                strength = {"linewidth": 0.9} if name == _GRIPPER else {"linewidth": 1.6}
                axes.plot(path[:, axis], color=_color(name), label=name, **strength)
            for i, (name, goal) in enumerate(goals.items()):  # dashes are shifted, so that equal goals are all visible
                axes.axhline(goal[axis], color=_color(name), linestyle=(5 * i, (5, 5)), linewidth=1)
        column[3].step(np.arange(len(example.rewards)), example.rewards, where="post", color=INK, linewidth=1)
        column[3].set(xlabel="step", xlim=(0, len(example.rewards)))
        for axes in column:
            _shade(axes, example.success)
    lowest = min(float(example.rewards.min()) for example in examples.episodes)
    grid[3, 0].set_ylim(1.1 * min(lowest, -1), 0.1 * max(-lowest, 1))
    grid[3, 0].yaxis.set_major_locator(MaxNLocator(4, integer=True))
    for axes, label in zip(grid[:, 0], ("x (m)", "y (m)", "z (m)", "reward"), strict=True):
        axes.set_ylabel(label)
    figure.align_ylabels(list(grid[:, 0]))
    handles, _ = grid[0, 0].get_legend_handles_labels()
    if goals:
        handles.append(Line2D([], [], color=INK, linestyle=(0, (5, 5)), linewidth=1, label="goal"))
    if any(example.success.any() for example in examples.episodes):
        handles.append(Patch(color=_SUCCESS, label="success"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), handlelength=1.6)


def _color(body: str) -> str:
    return _GREY if body == _GRIPPER else _CUBES[int(body.removeprefix("cube ")) - 1]


def _shade(axes: Axes, success: np.ndarray) -> None:
    """Shade the steps that are in a success state.

    Args:
        axes: panel to draw in.
        success: (L,) bool.
    """
    edges = np.flatnonzero(np.diff(success, prepend=False, append=False))
    for start, end in edges.reshape(-1, 2):
        axes.axvspan(start, end, color=_SUCCESS, linewidth=0, zorder=0)


def _draw_map(axes: Axes, examples: Examples) -> None:
    """Draw the density of the agent's positions in the maze."""
    layout = examples.scene.layout
    assert layout is not None
    axes.set(title="agent positions", xlabel="x (m)", ylabel="y (m)")
    draw_maze(axes, layout)
    _draw_density(axes, examples.everywhere["agent"], layout.extent, layout.cell_size / 6)


def _draw_table(axes: Axes, examples: Examples) -> None:
    """Draw the density of the gripper's positions from above. y points right, because the table is wider than deep."""
    squares = " (squares: goals)" if examples.scene.goals else ""
    axes.set(title=f"gripper positions{squares}", xlabel="y (m)", ylabel="x (m)")
    yx = examples.everywhere[_GRIPPER][:, 1::-1]
    (left, bottom), (right, top) = yx.min(axis=0) - 0.02, yx.max(axis=0) + 0.02
    _draw_density(axes, yx, (float(left), float(right), float(bottom), float(top)), 0.015)
    axes.grid(False)
    for cube, goal in examples.scene.goals.items():
        axes.plot(goal[1], goal[0], marker="s", markersize=8, color=_color(cube), markeredgecolor="white")


def _draw_density(axes: Axes, xy: np.ndarray, extent: tuple[float, float, float, float], cell: float) -> None:
    """Draw the number of visits to each cell of a grid on a logarithmic color scale; unvisited cells are white."""
    left, right, bottom, top = extent
    bins = [max(1, round((right - left) / cell)), max(1, round((top - bottom) / cell))]
    visits, _, _ = np.histogram2d(xy[:, 0], xy[:, 1], bins=bins, range=((left, right), (bottom, top)))
    shown = np.ma.masked_equal(visits.T, 0)
    norm = LogNorm(0.5, max(1.0, float(visits.max())))  # starts at 0.5, so that a cell with one visit is not white
    axes.imshow(shown, extent=extent, origin="lower", cmap=_BLUES, norm=norm, zorder=1, interpolation="nearest")


def _draw_returns(axes: Axes, returns: np.ndarray, reward: str) -> None:
    """Draw a histogram of returns. With many episodes it has a logarithmic scale, so that rare values are visible."""
    axes.set(title=f"returns, {reward} reward", xlabel="episode return", ylabel="episodes")
    axes.hist(returns, bins=30 if np.ptp(returns) else 1, color=BLUE, log=len(returns) >= _MANY)
    median = float(np.median(returns))
    axes.axvline(median, color=ORANGE, linewidth=2, label=f"median {median:,.0f}")
    if not np.ptp(returns):
        axes.set_xlim(median - 5, median + 5)  # all returns are equal: one narrow bar
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.1f}" if 0 < np.ptp(returns) < 4 else "{x:,.0f}"))
    if len(returns) >= _MANY:
        axes.set_ylim(bottom=0.7)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1, handlelength=1)


def _draw_actions(axes: Axes, counts: np.ndarray, names: tuple[str, ...]) -> None:
    """Draw one histogram per action dimension, stacked vertically on a common scale.

    Args:
        axes: panel to draw in.
        counts: (A, bins), number of actions in each bin.
        names: names of the dimensions, or empty.
    """
    share = counts / counts.sum(axis=1, keepdims=True)
    edges = np.linspace(-1, 1, counts.shape[1] + 1)
    for i, row in enumerate(share / share.max()):
        base = len(share) - 1 - i
        axes.bar(
            edges[:-1], 0.85 * row, np.diff(edges), base, align="edge", color=BLUE, edgecolor="white", linewidth=0.5
        )
    labels = names or tuple(str(i) for i in range(len(share)))
    every = -(-len(share) // 12)
    axes.set_yticks(np.arange(len(share) - 1, -1, -1)[::every] + 0.4, labels[::every])
    axes.set(
        title=f"actions, highest bar {share.max():.0%}",
        xlabel="action",
        ylabel="dimension",
        xlim=(-1, 1),
        xticks=(-1, -0.5, 0, 0.5, 1),
    )
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
