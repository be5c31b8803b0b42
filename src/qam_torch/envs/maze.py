"""Read the layout of a maze, over which trajectories are plotted."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from qam_torch.types import MazeLayout, QamError

__all__ = ["maze_layout"]


def maze_layout(environment: gymnasium.Env) -> MazeLayout:
    """Read the layout of an OGBench maze (pointmaze, antmaze, humanoidmaze, antsoccer) with a single task.

    Args:
        environment: environment from `make_environment`. It need not have been reset.

    Raises:
        QamError: the environment is not a maze with a single task.
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
