"""Generated pointmaze data: OGBench's recipe, the same bits whatever the number of workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import ogbench
import pytest

from qam_torch.data import pointmaze
from qam_torch.data.files import file_hash, read_npz
from qam_torch.data.generate import episode_lengths, generate_pointmaze, validation_path
from qam_torch.data.pointmaze import NavigateEpisode, Subgoals, vertex_cells
from qam_torch.types import QamError


@pytest.fixture(scope="module")
def world() -> Any:
    return gymnasium.make("pointmaze-medium-v0", terminate_at_goal=False).unwrapped


def test_files_do_not_depend_on_the_workers(tmp_path: Path) -> None:
    state: Any = np.random.get_state()
    for workers in (1, 2):
        generate_pointmaze(tmp_path / f"{workers}.npz", transitions=2500, seed=3, workers=workers)
    after: Any = np.random.get_state()
    np.testing.assert_array_equal(after[1], state[1])
    assert after[2] == state[2]
    assert file_hash(tmp_path / "1.npz") == file_hash(tmp_path / "2.npz")
    assert file_hash(validation_path(tmp_path / "1.npz")) == file_hash(validation_path(tmp_path / "2.npz"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1-val.npz", "1.npz", "2-val.npz", "2.npz"]
    generate_pointmaze(tmp_path / "other.npz", transitions=2500, seed=4, workers=1)
    assert file_hash(tmp_path / "1.npz") != file_hash(tmp_path / "other.npz")


def test_ogbench_reads_the_files(tmp_path: Path) -> None:
    path, seen = tmp_path / "x.npz", []
    generate_pointmaze(path, transitions=1500, workers=1, progress=lambda made, total: seen.append((made, total)))
    assert seen == [(750, 2250), (1500, 2250), (2250, 2250)]
    arrays = read_npz(path, observation_dim=2, action_dim=2)
    assert np.flatnonzero(arrays["terminals"]).tolist() == [750, 1501]
    train, val = ogbench.make_env_and_datasets("pointmaze-medium-navigate-v0", dataset_path=str(path))[1:]
    assert train["actions"].shape == (1500, 2)
    assert val["actions"].shape == (750, 2)
    np.testing.assert_array_equal(np.flatnonzero(train["terminals"]), [749, 1499])


def test_full_episodes_have_ogbenchs_length() -> None:
    assert episode_lengths(200_000) == [1000] * 200
    assert episode_lengths(1000) == [1000]
    assert episode_lengths(2001) == [667] * 3
    assert episode_lengths(1001) == [501, 500]
    assert episode_lengths(7) == [7]


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


def test_actions_are_the_oracles_direction_with_noise(world: Any) -> None:
    """The mean action points along the unit direction to the subgoal: estimated where clipping cannot reach."""
    directions: list[np.ndarray] = []
    original = Subgoals.__call__

    def spy(self: Subgoals, start_xy: np.ndarray, goal_xy: np.ndarray) -> np.ndarray:
        subgoal = original(self, start_xy, goal_xy)
        offset = subgoal - start_xy
        directions.append(offset / np.linalg.norm(offset))
        return subgoal

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Subgoals, "__call__", spy)
        actions = NavigateEpisode("medium")(seed=1, index=0, rows=1001)["actions"]
    direction = np.array(directions)
    inside = np.abs(direction) < 0.15
    noise = (actions - direction)[inside]
    assert len(noise) > 300
    assert abs(noise.mean()) < 0.1
    assert 0.42 < noise.std() < 0.5  # 0.5, less the 5 % that clipping at 1 cuts off


def test_known_subgoals_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    known = NavigateEpisode("medium")(seed=2, index=1, rows=400)
    monkeypatch.setattr(
        Subgoals, "__call__", lambda self, start_xy, goal_xy: self._world.get_oracle_subgoal(start_xy, goal_xy)[0]
    )
    asked = NavigateEpisode("medium")(seed=2, index=1, rows=400)
    for key in known:
        np.testing.assert_array_equal(known[key], asked[key])


@pytest.mark.parametrize("maze", pointmaze.MAZES)
def test_subgoals_equal_the_oracle(maze: str) -> None:
    world: Any = gymnasium.make(f"pointmaze-{maze}-v0").unwrapped
    subgoals, rng = Subgoals(world), np.random.default_rng(0)
    high = np.array(world.ij_to_xy((world.maze_map.shape[0] - 1, world.maze_map.shape[1] - 1)))
    free = [world.ij_to_xy(cell) for cell in np.argwhere(world.maze_map == 0)]
    for _ in range(150):
        start = rng.uniform(-1.9, high + 1.9)  # walls included
        goal = np.array(free[rng.integers(len(free))]) + rng.uniform(-1, 1, 2)
        np.testing.assert_array_equal(subgoals(start, goal), world.get_oracle_subgoal(start, goal)[0])


def test_vertices_are_what_is_not_a_straight_corridor() -> None:
    maze = np.array(
        [
            [1, 1, 1, 1, 1, 1],
            [1, 0, 0, 0, 0, 1],
            [1, 0, 1, 1, 0, 1],
            [1, 0, 1, 1, 0, 1],
            [1, 0, 0, 1, 0, 1],
            [1, 1, 1, 1, 1, 1],
        ]
    )
    assert vertex_cells(maze) == [(1, 1), (1, 4), (4, 1), (4, 2), (4, 4)]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"maze": "huge"}, "unknown maze 'huge': expected one of medium, large, giant, teleport"),
        ({"transitions": 0}, "transitions=0 is out of range"),
        ({"seed": -1}, "seed=-1 is out of range"),
        ({"workers": 0}, "workers=0 is out of range"),
    ],
)
def test_bad_arguments(tmp_path: Path, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(QamError, match=sentence):
        generate_pointmaze(tmp_path / "x.npz", **options)
    assert list(tmp_path.iterdir()) == []
