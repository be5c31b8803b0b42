"""The plan of a maze agrees with the environment's own coordinates."""

import numpy as np
import pytest

from qam_torch.envs.maze import maze_layout
from qam_torch.envs.ogbench import make_environment
from qam_torch.types import QamError


@pytest.mark.parametrize(
    "name", ["pointmaze-medium-navigate-v0", "antmaze-giant-navigate-v0", "antsoccer-arena-navigate-v0"]
)
def test_walls_start_and_goal(name: str) -> None:
    environment = make_environment(name, 3)
    layout = maze_layout(environment)
    for edge in (layout.walls[0], layout.walls[-1], layout.walls[:, 0], layout.walls[:, -1]):
        assert edge.all(), "a maze is closed"
    assert not layout.is_wall(np.array([layout.start, layout.goal])).any()
    assert layout.start != layout.goal

    left, right, bottom, top = layout.extent
    points = np.random.default_rng(0).uniform((left, bottom), (right, top), (500, 2))
    cells = np.array([environment.unwrapped.xy_to_ij(point) for point in points])  # type: ignore[attr-defined]
    assert np.array_equal(layout.is_wall(points), layout.walls[cells[:, 0], cells[:, 1]])
    assert layout.is_wall(np.array([[left - 0.1, 0.0], [right + 0.1, 0.0]])).all(), "outside counts as wall"


def test_the_task_of_the_environment_is_used() -> None:
    goals = {maze_layout(make_environment("pointmaze-medium-navigate-v0", task)).goal for task in (1, 2, 3, 4, 5)}
    assert len(goals) == 5
    default = make_environment("pointmaze-medium-navigate-v0", None)
    assert maze_layout(default).goal == maze_layout(make_environment("pointmaze-medium-navigate-v0", 1)).goal


def test_reaching_the_goal_succeeds_within_its_radius() -> None:
    environment = make_environment("pointmaze-medium-navigate-v0", 1)
    layout = maze_layout(environment)
    environment.reset(seed=0)
    for distance, expected in ((0.9, 1.0), (1.1, 0.0)):
        environment.unwrapped.set_xy(np.array(layout.goal) - [distance * layout.goal_radius, 0])  # type: ignore[attr-defined]
        assert environment.step(np.zeros(2))[4]["success"] == expected


def test_an_environment_without_a_maze_is_refused() -> None:
    with pytest.raises(QamError, match="no maze"):
        maze_layout(make_environment("cube-single-play-v0", 1))
