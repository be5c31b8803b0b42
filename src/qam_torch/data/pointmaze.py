"""OGBench's navigate recipe for the point mass in a maze: one episode of a noisy oracle that visits goal after goal."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import ogbench  # noqa: F401  registers the environments

__all__ = ["ACTION_NOISE", "MAZES", "MAX_ROWS", "NavigateEpisode", "Subgoals", "vertex_cells"]

MAZES = ("medium", "large", "giant", "teleport")
ACTION_NOISE = 0.5
"""Standard deviation of the noise on the oracle's unit direction (OGBench's value)."""
MAX_ROWS = 1001

Cell = tuple[int, int]


@dataclass(frozen=True)
class NavigateEpisode:
    """Makes one episode: from a random cell to random vertices of the maze, one after the other.

    maze  one of MAZES

    Calling it with (seed, index, rows), rows in [2, 1001], returns observations, actions, terminals, qpos, qvel with
    `rows` rows each, `terminals` True on the last. The result depends on these numbers alone; numpy's global generator,
    which OGBench draws from, is left as it was.

    Source: Park et al. 2025 (OGBench), pointmaze navigate data.
    """

    maze: str

    def __call__(self, seed: int, index: int, rows: int) -> dict[str, np.ndarray]:
        assert 2 <= rows <= MAX_ROWS
        env, subgoals = _environment(self.maze)
        world: Any = env.unwrapped
        free, vertices = _free_cells(world.maze_map), vertex_cells(world.maze_map)
        global_seed, reset_seed, space_seed, own_seed = np.random.SeedSequence([seed, index]).spawn(4)
        rng = np.random.default_rng(own_seed)
        record: dict[str, list[np.ndarray]] = {key: [] for key in ("observations", "actions", "qpos", "qvel")}
        with _numpy_seed(global_seed):
            world.action_space.seed(_integer(space_seed))
            task = {"init_ij": free[rng.integers(len(free))], "goal_ij": vertices[rng.integers(len(vertices))]}
            observation, _ = env.reset(seed=_integer(reset_seed), options={"task_info": task})
            for _ in range(rows):
                position = world.get_xy()
                direction = subgoals(position, world.cur_goal_xy) - position
                direction = direction / (np.linalg.norm(direction) + 1e-6)
                action = np.clip(direction + rng.normal(0.0, ACTION_NOISE, direction.shape), -1.0, 1.0)
                following, _, _, _, info = env.step(action)
                record["observations"].append(observation)
                record["actions"].append(action)
                record["qpos"].append(info["prev_qpos"])
                record["qvel"].append(info["prev_qvel"])
                if info["success"]:
                    world.set_goal(goal_ij=vertices[rng.integers(len(vertices))])
                observation = following
        arrays = {key: np.asarray(values, dtype=np.float32) for key, values in record.items()}
        arrays["terminals"] = np.arange(rows) == rows - 1
        return arrays


class Subgoals:
    """OGBench's oracle, asked once per pair of cells: its answer depends on the two positions' cells only."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._known: dict[tuple[Cell, Cell], np.ndarray] = {}

    def __call__(self, start_xy: np.ndarray, goal_xy: np.ndarray) -> np.ndarray:
        """Positions (2,), (2,) -> centre (2,) of the next cell on the shortest way."""
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


@functools.lru_cache(maxsize=1)
def _environment(maze: str) -> tuple[gymnasium.Env, Subgoals]:
    """One environment a process: compiling the model costs as much as an episode."""
    env = gymnasium.make(
        f"pointmaze-{maze}-v0", terminate_at_goal=False, max_episode_steps=MAX_ROWS, disable_env_checker=True
    )
    return env, Subgoals(env.unwrapped)


def _integer(seed: np.random.SeedSequence) -> int:
    return int(seed.generate_state(1)[0] >> 1)


@contextlib.contextmanager
def _numpy_seed(seed: np.random.SeedSequence) -> Iterator[None]:
    """Seed numpy's global generator, and put it back as it was."""
    before = np.random.get_state()
    np.random.seed(seed.generate_state(4))
    try:
        yield
    finally:
        np.random.set_state(before)
