"""The plan of a maze, for plotting trajectories over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from qam_torch.types import QamError

__all__ = ["MazeLayout", "maze_layout"]


@dataclass(frozen=True)
class MazeLayout:
    """Walls, start and goal of a maze in the coordinates of its positions.

    walls        (rows, columns) bool; row i lies at y = origin[1] + i * cell_size, column j at x likewise
    cell_size    edge of a cell
    origin       xy of the centre of cell (0, 0)
    start        xy of the task's start, around which episodes begin
    goal         xy of the task's goal
    goal_radius  an episode succeeds within this distance of the goal
    """

    walls: np.ndarray
    cell_size: float
    origin: tuple[float, float]
    start: tuple[float, float]
    goal: tuple[float, float]
    goal_radius: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top edge, for `axes.imshow(layout.walls, origin="lower", extent=layout.extent)`."""
        rows, columns = self.walls.shape
        left, bottom = (centre - self.cell_size / 2 for centre in self.origin)
        return left, left + columns * self.cell_size, bottom, bottom + rows * self.cell_size

    def is_wall(self, xy: np.ndarray) -> np.ndarray:
        """Whether positions (..., 2) lie in a wall cell, or outside the maze -> (...,) bool."""
        cells = np.floor((np.asarray(xy) - np.array(self.origin)) / self.cell_size + 0.5).astype(int)
        rows, columns = self.walls.shape
        column, row = cells[..., 0], cells[..., 1]
        outside = (row < 0) | (row >= rows) | (column < 0) | (column >= columns)
        return outside | self.walls[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]


def maze_layout(environment: gymnasium.Env) -> MazeLayout:
    """Read the plan of an OGBench maze (pointmaze, antmaze, humanoidmaze, antsoccer) with a single task.

    environment  made by `make_environment`; need not have been reset

    Raises QamError if it is not a maze.
    """
    maze: Any = environment.unwrapped
    names = ("maze_map", "task_infos", "ij_to_xy", "_maze_unit", "_goal_tol", "_reward_task_id")
    if not all(hasattr(maze, name) for name in names) or maze._reward_task_id is None:
        raise QamError(f"{environment} has no maze with a single task, expected a pointmaze, antmaze or the like")
    task = maze.task_infos[maze._reward_task_id - 1]
    start, goal, origin = (
        tuple(float(x) for x in maze.ij_to_xy(ij))
        for ij in (task.get("init_ij", task.get("agent_init_ij")), task["goal_ij"], (0, 0))
    )
    return MazeLayout(
        walls=np.asarray(maze.maze_map) == 1,
        cell_size=float(maze._maze_unit),
        origin=(origin[0], origin[1]),
        start=(start[0], start[1]),
        goal=(goal[0], goal[1]),
        goal_radius=float(maze._goal_tol),
    )
