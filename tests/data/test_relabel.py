"""Rewards and masks of every task of every environment: OGBench's, bit for bit, and what is paid online."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import ogbench
import pytest

from qam_torch.data.catalog import CATALOG
from qam_torch.data.ogbench_format import read_npz, write_npz_atomic
from qam_torch.data.relabel import TaskRewards, task_rewards
from qam_torch.data.transitions import ACTION_LIMIT, Transitions
from qam_torch.envs.ogbench import SparseReward, make_environment
from qam_torch.types import QamError

Arrays = dict[str, np.ndarray]

# One dataset of each environment: the rewards do not depend on how the data were collected.
NAMES = {entry.environment: entry.name for entry in CATALOG.values() if entry.shards == 1}
TASKS = range(1, 6)
ROWS_PER_TASK = 80
FIRST_OBJECT = 14  # of qpos; in front of it are the arm's joints


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of boxes cast to float32
        yield


def singletask(name: str, task: int) -> str:
    """ "cube-single-play-v0", 2 -> "cube-single-play-singletask-task2-v0", as OGBench's loader takes it."""
    return name.replace("-v0", f"-singletask-task{task}-v0")


def near(goal: np.ndarray, tolerance: float, solved: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(rows, len(goal)) around a goal: inside the tolerance where `solved`, else anywhere, its very edge included."""
    direction = rng.normal(size=(len(solved), len(goal)))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    distance = rng.choice([0.0, 0.5, 0.999999, 1.0, 1.000001, 1.5, 30.0], size=len(solved))
    return goal + tolerance * np.where(solved, 0.5, distance)[:, None] * direction


def put_near_goal(environment: gymnasium.Env, task: dict[str, Any], arrays: Arrays, rng: np.random.Generator) -> None:
    """Move what the task is about to around its goal; in a third of the rows all of it counts as there."""
    env: Any = environment.unwrapped
    qpos, solved = arrays["qpos"], rng.random(len(arrays["qpos"])) < 0.3
    if "goal_xy" in task:
        start = 15 if environment.spec and "soccer" in environment.spec.id else 0  # the ball's or the body's place
        qpos[:, start : start + 2] = near(np.asarray(task["goal_xy"]), env._goal_tol, solved, rng)
        return
    goal = task.get("goal", task)
    for cube, xyz in enumerate(goal.get("block_xyzs", task.get("goal_xyzs", []))):
        start = FIRST_OBJECT + 7 * cube
        qpos[:, start : start + 3] = near(xyz, 0.04, solved, rng)
    if "drawer_pos" in goal:
        drawer = FIRST_OBJECT + 7 * env._num_cubes + env._num_buttons
        for column, key in ((drawer, "drawer_pos"), (drawer + 1, "window_pos")):
            qpos[:, column] = near(np.array([goal[key]]), 0.04, solved, rng)[:, 0]
    if "button_states" in arrays:
        target = goal.get("button_states", task.get("goal_button_states"))
        wrong = rng.random((len(solved), len(target))) < rng.choice([0.1, 0.5], size=(len(solved), 1))
        arrays["button_states"][:] = np.where(wrong & ~solved[:, None], 1 - target, target)


def recorded(environment: gymnasium.Env, seed: int = 0) -> Arrays:
    """A file of random rows in episodes of random lengths; a fifth of it around the goal of each task."""
    rng = np.random.default_rng(seed)
    environment.reset()
    env: Any = environment.unwrapped
    rows = ROWS_PER_TASK * len(TASKS)
    actions = rng.uniform(-1, 1, size=(rows, environment.action_space.shape[0]))
    arrays = {
        "observations": rng.normal(size=(rows, environment.observation_space.shape[0])),
        "actions": np.where(rng.random(actions.shape) < 0.2, np.sign(actions), actions),
        "terminals": rng.random(rows) < 0.2,
        "qpos": rng.normal(size=(rows, env.model.nq)),
        "qvel": rng.normal(size=(rows, env.model.nv)),
    }
    arrays["terminals"][-1] = True
    if hasattr(env, "_num_buttons"):
        arrays["button_states"] = rng.integers(0, env._num_button_states, size=(rows, env._num_buttons))
    for number, task in enumerate(env.task_infos):
        rows_of_task = slice(number * ROWS_PER_TASK, (number + 1) * ROWS_PER_TASK)
        put_near_goal(environment, task, {key: array[rows_of_task] for key, array in arrays.items()}, rng)
    return arrays


@pytest.mark.parametrize("name", NAMES.values())
@pytest.mark.slow
def test_every_task_equals_ogbenchs(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    seen = []
    for task in TASKS:
        env = ogbench.make_env_and_datasets(singletask(name, task), env_only=True)
        if task == 1:
            write_npz_atomic(path, recorded(env))
            path.with_name("x-val.npz").hardlink_to(path)  # OGBench reads one, too
            arrays = read_npz(path, env.observation_space.shape[0], env.action_space.shape[0])
        rewards, masks = task_rewards(env, env.spec.id, arrays)
        expected, _ = ogbench.make_env_and_datasets(
            singletask(name, task), dataset_path=str(path), dataset_only=True, cur_env=env
        )
        assert rewards.dtype == masks.dtype == expected["rewards"].dtype == np.float32
        np.testing.assert_array_equal(rewards, expected["rewards"])
        np.testing.assert_array_equal(masks, expected["masks"])
        assert_transitions_equal(Transitions.from_ogbench(arrays, rewards, masks), expected)

        sparse, sparse_masks = task_rewards(env, env.spec.id, arrays, sparse=True)
        np.testing.assert_array_equal(sparse, np.where(expected["rewards"] == 0, np.float32(0), np.float32(-1)))
        np.testing.assert_array_equal(sparse_masks, masks)
        assert sparse.dtype == np.float32 and not np.signbit(sparse[sparse == 0]).any()
        rule = TaskRewards(env, env.spec.id)
        env.close()
        np.testing.assert_array_equal(rule(arrays), (rewards, masks))
        seen.append(rewards)
    assert all(0 in rewards and rewards.min() < 0 for rewards in seen)
    assert len({rewards.tobytes() for rewards in seen}) > 1  # some tasks share their goal


def assert_transitions_equal(data: Transitions, expected: Arrays) -> None:
    np.testing.assert_array_equal(data.states[data.state_rows].numpy(), expected["observations"])
    np.testing.assert_array_equal(data.states[data.next_rows].numpy(), expected["next_observations"])
    np.testing.assert_array_equal(data.terminals.numpy(), expected["terminals"].astype(bool))
    np.testing.assert_array_equal(data.actions.numpy(), np.clip(expected["actions"], -ACTION_LIMIT, ACTION_LIMIT))
    np.testing.assert_array_equal(data.rewards.numpy(), expected["rewards"])
    np.testing.assert_array_equal(data.masks.numpy(), expected["masks"])


def solve_puzzle(env: Any) -> None:
    env._cur_button_states = env._target_button_states.copy()
    env._apply_button_states()


def solve_scene(env: Any) -> None:
    solve_puzzle(env)
    for cube, target in enumerate(env._data.mocap_pos):
        env._data.joint(f"object_joint_{cube}").qpos[:3] = target
    env._data.joint("drawer_slide").qpos[0] = env._target_drawer_pos
    env._data.joint("window_slide").qpos[0] = env._target_window_pos


def solve_maze(env: Any) -> None:
    env.set_xy(env.cur_goal_xy)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "solve"),
    [
        ("pointmaze-medium-navigate-v0", solve_maze),
        ("puzzle-3x3-play-v0", solve_puzzle),
        ("scene-play-v0", solve_scene),
    ],
)
def test_the_environment_pays_online_what_the_data_say(name: str, solve: Callable[[Any], None]) -> None:
    """The reward of a step, and whether it ends the episode, are those of the state that it starts from."""
    environment = make_environment(name, task=2, seed=0)
    env: Any = environment.unwrapped
    environment.reset()
    rng = np.random.default_rng(0)
    arrays: dict[str, list[Any]] = {"qpos": [], "button_states": [], "terminals": []}
    rewards, ended = [], []
    for step in range(12):
        if step in (5, 9):
            solve(env)
            if hasattr(env, "post_step"):
                env.post_step()  # which is where it looks for success
        data = getattr(env, "_data", None) or env.data
        arrays["qpos"].append(data.qpos.copy())
        arrays["button_states"].append(np.array(getattr(env, "_cur_button_states", [0])))
        arrays["terminals"].append(False)
        _, paid, terminated, _, _ = environment.step(rng.uniform(-0.1, 0.1, environment.action_space.shape))
        rewards.append(paid)
        ended.append(terminated)
    file = {key: np.stack(values) for key, values in arrays.items()}
    expected, masks = task_rewards(environment, environment.spec.id, file)
    assert rewards == expected.tolist()
    assert ended == (masks == 0).tolist()
    expected, _ = task_rewards(environment, environment.spec.id, file, sparse=True)
    assert [SparseReward(environment).reward(reward) for reward in rewards] == expected.tolist()
    assert any(ended) and not all(ended)


@pytest.fixture(scope="module")
def puzzle() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gymnasium.make("puzzle-3x3-singletask-task1-v0")


def test_missing_button_states(puzzle: Any) -> None:
    arrays = recorded(puzzle)
    del arrays["button_states"]
    with pytest.raises(QamError, match="has no 'button_states'"):
        task_rewards(puzzle, "puzzle-3x3-singletask-task1-v0", arrays)


@pytest.mark.parametrize("columns", [1, 8])
def test_button_states_of_another_environment(puzzle: Any, columns: int) -> None:
    """numpy would compare a single column with every button."""
    arrays = recorded(puzzle)
    arrays["button_states"] = arrays["button_states"][:, :columns]
    with pytest.raises(QamError, match=rf"'button_states' has size {columns} but environment .* has 9"):
        task_rewards(puzzle, "puzzle-3x3-singletask-task1-v0", arrays)


def test_another_environments_file(puzzle: Any) -> None:
    arrays = recorded(puzzle)
    arrays["qpos"] = arrays["qpos"][:, :2]
    with pytest.raises(QamError, match="'qpos' has size 2 but environment"):
        task_rewards(puzzle, "puzzle-3x3-singletask-task1-v0", arrays)


def test_environment_without_a_task() -> None:
    env = gymnasium.make("pointmaze-medium-v0")
    with pytest.raises(QamError, match="has no reward task"):
        task_rewards(env, "pointmaze-medium-v0", recorded(env))
