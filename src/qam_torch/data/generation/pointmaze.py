"""OGBench's recipes for the point mass in a maze: episodes of a noisy oracle.

Imported in worker processes: no torch.
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
"""Standard deviation of the noise on the oracle's unit direction (OGBench's value)."""
STITCH_DISTANCE = 4
"""Steps between cells from the start of a stitch episode to its goal (OGBench's value)."""

Cell = tuple[int, int]


@dataclass(frozen=True)
class PointMazeEpisode(ABC):
    """Makes one episode of the oracle, which moves to a goal along the shortest path; a subclass chooses the goals.

    Calling it with (seed, index, rows), rows >= 2, returns observations, actions, terminals, qpos, qvel with `rows`
    rows each, `terminals` True on the last. The result depends on these numbers only. The state of numpy's global
    generator, from which OGBench draws, is restored.

    Args:
        maze: one of MAZES.

    Source: Park et al. 2025 (OGBench), pointmaze data.
    """

    maze: str

    @abstractmethod
    def first_goal(self, rng: np.random.Generator, maze_map: np.ndarray, start: Cell) -> Cell:
        """Cell of the first goal of an episode that starts in this cell."""

    @abstractmethod
    def next_goal(self, rng: np.random.Generator, maze_map: np.ndarray) -> Cell | None:
        """Cell of the next goal after one has been reached; None to keep the old goal."""

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
    """OGBench's oracle, called once per pair of cells: its result depends only on the cells of the two positions."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._known: dict[tuple[Cell, Cell], np.ndarray] = {}

    def __call__(self, start_xy: np.ndarray, goal_xy: np.ndarray) -> np.ndarray:
        """Positions (2,), (2,) -> center (2,) of the next cell on the shortest path."""
        cells = (self._world.xy_to_ij(start_xy), self._world.xy_to_ij(goal_xy))
        if cells not in self._known:
            self._known[cells], _ = self._world.get_oracle_subgoal(start_xy, goal_xy)
        return self._known[cells]


def _free_cells(maze_map: np.ndarray) -> list[Cell]:
    return [(int(i), int(j)) for i, j in np.argwhere(maze_map == 0)]


def vertex_cells(maze_map: np.ndarray) -> list[Cell]:
    """Free cells that are not in the middle of a straight corridor; maze_map (rows, columns), 0 where free."""
    free = np.pad(maze_map == 0, 1)
    above, below, left, right = free[:-2, 1:-1], free[2:, 1:-1], free[1:-1, :-2], free[1:-1, 2:]
    vertical = above & below & ~left & ~right
    horizontal = left & right & ~above & ~below
    return _free_cells(np.where(vertical | horizontal, 1, maze_map))


def cells_at_distance(maze_map: np.ndarray, start: Cell, distance: int) -> list[Cell]:
    """Free cells whose shortest path from `start` has `distance` steps up, down, left or right."""
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
    """One environment per process: compiling the model takes as long as an episode."""
    world = make_world(f"pointmaze-{maze}-v0")
    return world, Subgoals(world)
