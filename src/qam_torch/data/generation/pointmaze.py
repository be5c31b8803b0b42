"""OGBench's recipes for the point mass in a maze: a noisy oracle moves to its goals.

Worker processes import this module, so it must not import torch.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from qam_torch.data.generation.environments import make_world
from qam_torch.data.generation.episode_files import Episode
from qam_torch.data.generation.numpy_seeding import integer_seed, numpy_seeded

__all__ = [
    "ACTION_NOISE",
    "MAZES",
    "STITCH_DISTANCE",
    "NavigateEpisode",
    "PointMazeEpisode",
    "StitchEpisode",
    "Subgoals",
    "cells_at_distance",
    "vertex_cells",
]

MAZES = ("medium", "large", "giant", "teleport")
ACTION_NOISE = 0.5
"""Standard deviation of the noise added to the oracle's unit direction (OGBench's value)."""
STITCH_DISTANCE = 4
"""Number of cell-to-cell steps from the start of a stitch episode to its goal (OGBench's value)."""

Cell = tuple[int, int]


@dataclass(frozen=True)
class PointMazeEpisode(ABC):
    """Makes one episode, in which an oracle moves to goals along the shortest path. A subclass chooses the goals.

    A call with (seed, index, rows), rows >= 2, returns the arrays observations, actions, terminals, qpos and qvel. Each
    array has `rows` rows, and `terminals` is True in the last row. The result depends only on seed, index and rows.
    OGBench draws from numpy's global generator, whose state is restored afterwards.

    Args:
        maze: one of MAZES.

    Source: Park et al. 2025 (OGBench), pointmaze data.
    """

    maze: str

    @abstractmethod
    def first_goal(self, rng: np.random.Generator, maze_map: np.ndarray, start: Cell) -> Cell:
        """Choose the cell of the first goal of an episode that starts in the cell `start`."""

    @abstractmethod
    def next_goal(self, rng: np.random.Generator, maze_map: np.ndarray) -> Cell | None:
        """Choose the cell of the next goal after a goal has been reached, or return None to keep the old goal."""

    def __call__(self, seed: int, index: int, rows: int) -> Episode:
        assert rows >= 2
        world, subgoals = _world(self.maze)
        maze_map, free = world.maze_map, _free_cells(world.maze_map)
        global_seed, reset_seed, space_seed, own_seed = np.random.SeedSequence([seed, index]).spawn(4)
        rng = np.random.default_rng(own_seed)
        record: dict[str, list[np.ndarray]] = {key: [] for key in ("observations", "actions", "qpos", "qvel")}
        with numpy_seeded(global_seed):
            world.action_space.seed(integer_seed(space_seed))
            start = free[rng.integers(len(free))]
            task = {"init_ij": start, "goal_ij": self.first_goal(rng, maze_map, start)}
            observation, _ = world.reset(seed=integer_seed(reset_seed), options={"task_info": task})
            for _ in range(rows):
                position = world.get_xy()
                direction = subgoals(position, world.cur_goal_xy) - position
                direction = direction / (np.linalg.norm(direction) + 1e-6)
                action = np.clip(direction + rng.normal(0.0, ACTION_NOISE, direction.shape), -1.0, 1.0)
                following, _, _, _, info = world.step(action)
                record["observations"].append(observation)
                record["actions"].append(action)
                record["qpos"].append(info["prev_qpos"])
                record["qvel"].append(info["prev_qvel"])
                if info["success"] and (goal := self.next_goal(rng, maze_map)) is not None:
                    world.set_goal(goal_ij=goal)
                observation = following
        arrays = {key: np.asarray(values, dtype=np.float32) for key, values in record.items()}
        arrays["terminals"] = np.arange(rows) == rows - 1
        return arrays


class NavigateEpisode(PointMazeEpisode):
    """Moves to random vertices of the maze, one after another."""

    def first_goal(self, rng: np.random.Generator, maze_map: np.ndarray, start: Cell) -> Cell:
        return self.next_goal(rng, maze_map)

    def next_goal(self, rng: np.random.Generator, maze_map: np.ndarray) -> Cell:
        vertices = vertex_cells(maze_map)
        return vertices[rng.integers(len(vertices))]


class StitchEpisode(PointMazeEpisode):
    """Moves to a nearby cell and stays there."""

    def first_goal(self, rng: np.random.Generator, maze_map: np.ndarray, start: Cell) -> Cell:
        near = cells_at_distance(maze_map, start, STITCH_DISTANCE) or [start]
        return near[rng.integers(len(near))]

    def next_goal(self, rng: np.random.Generator, maze_map: np.ndarray) -> None:
        return None


class Subgoals:
    """Caches the results of OGBench's oracle, which depend only on the cells of the two positions."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._known: dict[tuple[Cell, Cell], np.ndarray] = {}

    def __call__(self, start_xy: np.ndarray, goal_xy: np.ndarray) -> np.ndarray:
        """Return the center (2,) of the next cell on the shortest path from `start_xy` (2,) to `goal_xy` (2,)."""
        cells = (self._world.xy_to_ij(start_xy), self._world.xy_to_ij(goal_xy))
        if cells not in self._known:
            self._known[cells], _ = self._world.get_oracle_subgoal(start_xy, goal_xy)
        return self._known[cells]


def _free_cells(maze_map: np.ndarray) -> list[Cell]:
    return [(int(i), int(j)) for i, j in np.argwhere(maze_map == 0)]


def vertex_cells(maze_map: np.ndarray) -> list[Cell]:
    """List the free cells that are not in the middle of a straight corridor.

    Args:
        maze_map: (rows, columns), 0 in free cells.
    """
    free = np.pad(maze_map == 0, 1)
    above, below, left, right = free[:-2, 1:-1], free[2:, 1:-1], free[1:-1, :-2], free[1:-1, 2:]
    vertical = above & below & ~left & ~right
    horizontal = left & right & ~above & ~below
    return _free_cells(np.where(vertical | horizontal, 1, maze_map))


def cells_at_distance(maze_map: np.ndarray, start: Cell, distance: int) -> list[Cell]:
    """List the free cells whose shortest path from `start` has `distance` steps up, down, left or right."""
    steps, queue = {start: 0}, deque([start])
    free = set(_free_cells(maze_map))
    while queue:
        i, j = queue.popleft()
        for cell in ((i - 1, j), (i, j - 1), (i + 1, j), (i, j + 1)):
            if cell in free and cell not in steps:
                steps[cell] = steps[i, j] + 1
                queue.append(cell)
    return [cell for cell, count in steps.items() if count == distance]


@functools.lru_cache(maxsize=1)
def _world(maze: str) -> tuple[Any, Subgoals]:
    """Make the environment once per process, because compiling its model takes as long as an episode."""
    world = make_world(f"pointmaze-{maze}-v0")
    return world, Subgoals(world)
