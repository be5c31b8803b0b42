"""OGBench's recipes for the point mass: what the oracle does, and that an episode depends on its numbers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qam_torch.data.generation import pointmaze
from qam_torch.data.generation.environments import make_world
from qam_torch.data.generation.pointmaze import (
    MAZES,
    NavigateEpisode,
    PointMazeEpisode,
    StitchEpisode,
    Subgoals,
    cells_at_distance,
    vertex_cells,
)

CORRIDORS = np.array(
    [
        [1, 1, 1, 1, 1, 1],
        [1, 0, 0, 0, 0, 1],
        [1, 0, 1, 1, 0, 1],
        [1, 0, 1, 1, 0, 1],
        [1, 0, 0, 1, 0, 1],
        [1, 1, 1, 1, 1, 1],
    ]
)


@pytest.fixture(scope="module")
def world() -> Any:
    return make_world("pointmaze-medium-v0")


def test_an_episode_obeys_the_maze(world: Any) -> None:
    """Replaying the recorded states and actions gives the recorded next states; the oracle gets around."""
    episode = NavigateEpisode("medium")(seed=0, index=5, rows=1001)
    assert {key: array.shape for key, array in episode.items()} == {
        "observations": (1001, 2), "actions": (1001, 2), "qpos": (1001, 2), "qvel": (1001, 2), "terminals": (1001,)
    }  # fmt: skip
    assert np.flatnonzero(episode["terminals"]).tolist() == [1000]
    assert np.abs(episode["actions"]).max() == 1.0
    np.testing.assert_array_equal(episode["observations"], episode["qpos"])
    world.reset(seed=0)
    for t in range(0, 1000, 37):
        world.set_xy(episode["observations"][t])
        following = world.step(episode["actions"][t])[0]
        np.testing.assert_allclose(following, episode["observations"][t + 1], atol=1e-4)
    cells = [world.xy_to_ij(position) for position in episode["observations"]]
    assert all(world.maze_map[cell] == 0 for cell in cells)
    assert len(set(cells)) > 15


def test_a_stitch_episode_walks_four_cells_and_stays(world: Any) -> None:
    for index in range(5):
        positions = StitchEpisode("medium")(seed=0, index=index, rows=201)["observations"]
        start, *_, end = (world.xy_to_ij(position) for position in positions)
        assert end in cells_at_distance(world.maze_map, start, 4)
        arrived = np.flatnonzero(np.linalg.norm(positions - world.ij_to_xy(end), axis=1) < 1.0)[0]
        assert arrived < 150
        assert np.linalg.norm(positions[arrived:] - world.ij_to_xy(end), axis=1).max() < 3.0


def test_a_stitch_episode_without_a_cell_that_far_stays_where_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointmaze, "STITCH_DISTANCE", 1000)
    positions = StitchEpisode("medium")(seed=0, index=0, rows=100)["observations"]
    assert np.linalg.norm(positions - positions[0], axis=1).max() < 4.0  # a cell's width


@pytest.mark.parametrize("maze", MAZES)
@pytest.mark.parametrize("recipe", [NavigateEpisode, StitchEpisode])
def test_an_episode_does_not_know_those_before_it(recipe: type[PointMazeEpisode], maze: str) -> None:
    pointmaze._world.cache_clear()
    alone = recipe(maze)(seed=0, index=1, rows=300)
    recipe(maze)(seed=0, index=7, rows=300)
    again = recipe(maze)(seed=0, index=1, rows=300)
    other = recipe(maze)(seed=1, index=1, rows=300)
    for key in alone:
        np.testing.assert_array_equal(alone[key], again[key])
    assert not np.array_equal(alone["actions"], other["actions"])


def test_actions_are_the_oracles_direction_with_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean action points along the unit direction to the subgoal: estimated where clipping cannot reach."""
    directions: list[np.ndarray] = []
    original = Subgoals.__call__

    def spy(self: Subgoals, start_xy: np.ndarray, goal_xy: np.ndarray) -> np.ndarray:
        subgoal = original(self, start_xy, goal_xy)
        offset = subgoal - start_xy
        directions.append(offset / np.linalg.norm(offset))
        return subgoal

    monkeypatch.setattr(Subgoals, "__call__", spy)
    actions = NavigateEpisode("medium")(seed=1, index=0, rows=1001)["actions"]
    direction = np.array(directions)
    inside = np.abs(direction) < 0.15
    noise = (actions - direction)[inside]
    assert len(noise) > 300
    assert abs(noise.mean()) < 0.1
    assert 0.42 < noise.std() < 0.5  # 0.5, less the 5% that clipping at 1 cuts off


def test_known_subgoals_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    known = NavigateEpisode("medium")(seed=2, index=1, rows=400)
    monkeypatch.setattr(
        Subgoals, "__call__", lambda self, start_xy, goal_xy: self._world.get_oracle_subgoal(start_xy, goal_xy)[0]
    )
    asked = NavigateEpisode("medium")(seed=2, index=1, rows=400)
    for key in known:
        np.testing.assert_array_equal(known[key], asked[key])


@pytest.mark.parametrize("maze", MAZES)
def test_subgoals_and_distances_equal_the_oracles(maze: str) -> None:
    world = make_world(f"pointmaze-{maze}-v0")
    subgoals, rng = Subgoals(world), np.random.default_rng(0)
    high = np.array(world.ij_to_xy((world.maze_map.shape[0] - 1, world.maze_map.shape[1] - 1)))
    cells = [(int(i), int(j)) for i, j in np.argwhere(world.maze_map == 0)]
    for _ in range(150):
        start = rng.uniform(-1.9, high + 1.9)  # walls included
        cell = cells[rng.integers(len(cells))]
        goal = np.array(world.ij_to_xy(cell)) + rng.uniform(-1, 1, 2)
        subgoal, distances = world.get_oracle_subgoal(start, goal)
        np.testing.assert_array_equal(subgoals(start, goal), subgoal)
        far = {(int(i), int(j)) for i, j in np.argwhere(distances == 4)}
        assert set(cells_at_distance(world.maze_map, cell, 4)) == far


def test_vertices_are_what_is_not_a_straight_corridor() -> None:
    assert vertex_cells(CORRIDORS) == [(1, 1), (1, 4), (4, 1), (4, 2), (4, 4)]


def test_cells_at_a_distance() -> None:
    assert cells_at_distance(CORRIDORS, (1, 1), 4) == [(4, 2), (2, 4)]
    assert cells_at_distance(CORRIDORS, (1, 1), 0) == [(1, 1)]
    assert cells_at_distance(CORRIDORS, (4, 2), 11) == []
