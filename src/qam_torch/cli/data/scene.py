"""Positions of agent, gripper and objects in an episode, and the goal positions of a task."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from qam_torch.envs.maze import maze_layout
from qam_torch.plotting.datasets import Scene

__all__ = ["body_positions", "scene_of"]

# OGBench's layout of the arm's observations and of all environments' joint positions.
_GRIPPER, _CENTER, _SCALE = slice(12, 15), np.array([0.425, 0.0, 0.0]), 10.0
_FIRST_CUBE, _CUBE_SIZE, _BALL = 14, 7, slice(15, 17)


def scene_of(environment: gymnasium.Env) -> Scene:
    """Reset a single-task OGBench environment, and read its scene.

    Args:
        environment: OGBench environment with a task.

    Returns:
        The map, goals and bodies of the environment.
    """
    environment.reset()
    world: Any = environment.unwrapped
    if hasattr(world, "maze_map"):
        layout, ball = maze_layout(environment), hasattr(world, "get_agent_ball_xy")
        return Scene(layout, {"ball" if ball else "agent": np.array(layout.goal)}, ball=ball)
    cubes = getattr(world, "_num_cubes", 0)
    goals = {f"cube {cube + 1}": world._data.mocap_pos[cube].copy() for cube in range(cubes)}
    return Scene(None, goals, cubes, actions=("x", "y", "z", "yaw", "grip"))


def body_positions(scene: Scene, observations: np.ndarray, qpos: np.ndarray) -> dict[str, np.ndarray]:
    """Return the positions of all bodies over time.

    Args:
        scene: scene of the environment.
        observations: (L, O), observations of an episode.
        qpos: (L, Q), MuJoCo's joint positions.

    Returns:
        Name of each body -> positions in m: (L, 2) in a maze, (L, 3) otherwise.
    """
    if scene.layout is not None:
        return {"agent": qpos[:, :2]} | ({"ball": qpos[:, _BALL]} if scene.ball else {})
    bodies = {"gripper": observations[:, _GRIPPER] / _SCALE + _CENTER}
    for cube in range(scene.cubes):
        first = _FIRST_CUBE + _CUBE_SIZE * cube
        bodies[f"cube {cube + 1}"] = qpos[:, first : first + 3]
    return bodies
