"""Rewards and masks of a task: OGBench's, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import ogbench
import pytest

from qam_torch.data.files import read_npz
from qam_torch.data.generate import generate_pointmaze
from qam_torch.data.relabel import task_rewards
from qam_torch.data.transitions import ACTION_LIMIT, Transitions
from qam_torch.types import QamError


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "pointmaze.npz"
    generate_pointmaze(path, transitions=4000, workers=1)
    return path


@pytest.fixture(scope="module")
def puzzle() -> Any:
    return gymnasium.make("puzzle-3x3-singletask-task1-v0")


def puzzle_file(nq: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "terminals": np.arange(40) % 20 == 19,
        "qpos": rng.normal(size=(40, nq)),
        "button_states": rng.integers(0, 2, size=(40, 9)),
    }


@pytest.mark.parametrize("task", [1, 2, 3, 4, 5])
def test_transitions_equal_ogbenchs(path: Path, task: int) -> None:
    env, expected, _ = ogbench.make_env_and_datasets(
        f"pointmaze-medium-navigate-singletask-task{task}-v0", dataset_path=str(path)
    )
    arrays = read_npz(path)
    rewards, masks = task_rewards(env, f"pointmaze-medium-singletask-task{task}-v0", arrays)
    assert rewards.dtype == masks.dtype == np.float32
    np.testing.assert_array_equal(rewards, expected["rewards"])
    np.testing.assert_array_equal(masks, expected["masks"])
    assert 0 < (masks == 0).sum() < 4000  # the file does reach the goal

    data = Transitions.from_ogbench(arrays, rewards, masks)
    np.testing.assert_array_equal(data.states[data.state_rows].numpy(), expected["observations"])
    np.testing.assert_array_equal(data.states[data.next_rows].numpy(), expected["next_observations"])
    np.testing.assert_array_equal(data.terminals.numpy(), expected["terminals"].astype(bool))
    np.testing.assert_array_equal(data.actions.numpy(), np.clip(expected["actions"], -ACTION_LIMIT, ACTION_LIMIT))


def test_sparse_rewards_are_minus_one_or_zero(puzzle: Any) -> None:
    puzzle.reset()
    arrays = puzzle_file(puzzle.unwrapped.model.nq)
    arrays["button_states"][7] = puzzle.unwrapped._target_button_states
    dense, masks = task_rewards(puzzle, "puzzle-3x3-singletask-task1-v0", arrays)
    sparse, sparse_masks = task_rewards(puzzle, "puzzle-3x3-singletask-task1-v0", arrays, sparse=True)
    assert len(np.unique(dense)) > 3
    np.testing.assert_array_equal(sparse, np.where(dense == 0, 0, -1))
    assert sparse.dtype == np.float32 and sparse[7] == 0 and not np.signbit(sparse[7])
    np.testing.assert_array_equal(masks, sparse_masks)


def test_missing_button_states(puzzle: Any) -> None:
    puzzle.reset()
    arrays = puzzle_file(puzzle.unwrapped.model.nq)
    del arrays["button_states"]
    with pytest.raises(QamError, match="has no 'button_states'"):
        task_rewards(puzzle, "puzzle-3x3-singletask-task1-v0", arrays)


def test_another_environments_file(path: Path, puzzle: Any) -> None:
    with pytest.raises(QamError, match="'qpos' has size 2 but environment"):
        task_rewards(puzzle, "puzzle-3x3-singletask-task1-v0", read_npz(path))


def test_environment_without_a_task(path: Path) -> None:
    with pytest.raises(QamError, match="has no reward task"):
        task_rewards(gymnasium.make("pointmaze-medium-v0"), "pointmaze-medium-v0", read_npz(path))
