"""Where things are in an episode, and where a task wants them: agent, gripper, objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np

from qam_torch.envs.maze import maze_layout
from qam_torch.types import MazeLayout

__all__ = ["Scene", "scene_of"]

# OGBench's layout of the arm's observations and of all states.
_GRIPPER, _CENTRE, _SCALE = slice(12, 15), np.array([0.425, 0.0, 0.0]), 10.0
_FIRST_CUBE, _CUBE_SIZE, _BALL = 14, 7, slice(15, 17)


@dataclass(frozen=True)
class Scene:
    """What there is to see of a task.

    layout   the map, for mazes; None for the arm
    goals    name of a body -> position (2,) or (3,) in m that the task wants it in; bodies without one are left out
    cubes    how many the arm has
    ball     whether the agent has a ball to push
    actions  names of the action's dimensions, empty where they have none
    """

    layout: MazeLayout | None
    goals: Mapping[str, np.ndarray]
    cubes: int = 0
    ball: bool = False
    actions: tuple[str, ...] = ()

    def positions(self, observations: np.ndarray, qpos: np.ndarray) -> dict[str, np.ndarray]:
        """Positions in m over time; observations (L, O), qpos (L, Q) -> name of a body -> (L, 2) mazes, (L, 3) arm."""
        if self.layout is not None:
            return {"agent": qpos[:, :2]} | ({"ball": qpos[:, _BALL]} if self.ball else {})
        bodies = {"gripper": observations[:, _GRIPPER] / _SCALE + _CENTRE}
        for cube in range(self.cubes):
            first = _FIRST_CUBE + _CUBE_SIZE * cube
            bodies[f"cube {cube + 1}"] = qpos[:, first : first + 3]
        return bodies


def scene_of(environment: gymnasium.Env) -> Scene:
    """Read it off a single-task OGBench environment, which is reset."""
    environment.reset()
    world: Any = environment.unwrapped
    if hasattr(world, "maze_map"):
        layout, ball = maze_layout(environment), hasattr(world, "get_agent_ball_xy")
        return Scene(layout, {"ball" if ball else "agent": np.array(layout.goal)}, ball=ball)
    cubes = getattr(world, "_num_cubes", 0)
    goals = {f"cube {cube + 1}": world._data.mocap_pos[cube].copy() for cube in range(cubes)}
    return Scene(None, goals, cubes, actions=("x", "y", "z", "yaw", "grip"))
