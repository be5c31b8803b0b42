"""Names, rewards and side effects of making environments."""

import os
import tempfile
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from qam_torch.envs.ogbench import SparseReward, dataset_names, environment_id, make_environment
from qam_torch.types import QamError


@pytest.mark.parametrize(
    ("name", "task", "expected"),
    [
        ("pointmaze-medium-navigate-v0", 1, "pointmaze-medium-singletask-task1-v0"),
        ("pointmaze-medium-navigate-v0", None, "pointmaze-medium-singletask-v0"),
        ("cube-triple-play-v0", 2, "cube-triple-singletask-task2-v0"),
        ("cube-quadruple-play-100m-v0", 3, "cube-quadruple-singletask-task3-v0"),
        ("puzzle-4x4-noisy-v0", 5, "puzzle-4x4-singletask-task5-v0"),
        ("scene-play-v0", 4, "scene-singletask-task4-v0"),
    ],
)
def test_dataset_names_lead_to_registered_environments(name: str, task: int | None, expected: str) -> None:
    assert environment_id(name, task) == expected
    assert expected in gymnasium.registry


def test_every_known_name_has_all_five_tasks() -> None:
    names = dataset_names()
    assert len(names) >= 40 and not any("visual" in name for name in names)
    for name in names:
        assert all(environment_id(name, task) in gymnasium.registry for task in (None, 1, 2, 3, 4, 5)), name


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("pointmaze-medium-navigat-v0", "pointmaze-medium-navigate-v0"),
        ("cube-tripel-play-v0", "cube-triple-play-v0"),
        ("puzzle-4x4-singletask-v0", "puzzle-4x4-"),
    ],
)
def test_unknown_name_tells_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(QamError, match=f"(?s){name}.*{nearest}"):
        make_environment(name, 1)


@pytest.mark.parametrize("task", [0, 6, True])
def test_task_out_of_range_is_refused(task: int) -> None:
    with pytest.raises(QamError, match="1 to 5"):
        make_environment("scene-play-v0", task)


def test_unknown_reward_is_refused() -> None:
    with pytest.raises(QamError, match="dense, sparse"):
        make_environment("pointmaze-medium-navigate-v0", 1, reward="spares")


def test_sparse_reward_keeps_only_the_zero() -> None:
    wrapped = SparseReward(make_environment("pointmaze-medium-navigate-v0", 1))
    assert [wrapped.reward(r) for r in (-3.0, -1.0, 0.0, np.float32(-2))] == [-1.0, -1.0, 0.0, -1.0]


@pytest.mark.slow
def test_puzzle_is_dense_by_default_and_sparse_on_request() -> None:
    rewards = {}
    for kind in ("dense", "sparse"):
        environment = make_environment("puzzle-3x3-play-v0", 4, reward=kind)
        environment.reset(seed=0)
        rewards[kind] = float(environment.step(np.zeros(5, np.float32))[1])
        # Drawn at every reset for the warm-up steps, so it has to be one object that can be seeded.
        assert environment.unwrapped.action_space is environment.unwrapped.action_space
    assert rewards["dense"] < -1 and rewards["sparse"] == -1


def test_seed_fixes_the_first_episode_and_the_action_space() -> None:
    first, again, other = (make_environment("pointmaze-medium-navigate-v0", 1, seed=s) for s in (4, 4, 5))
    samples = [environment.action_space.sample().tolist() for environment in (first, again, other)]
    draws = [environment.unwrapped.np_random.random() for environment in (first, again, other)]
    assert samples[0] == samples[1] != samples[2]
    assert draws[0] == draws[1] != draws[2]


def test_mazes_leave_neither_files_nor_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    original = tempfile.mkstemp
    make_environment("pointmaze-medium-navigate-v0", 1)
    descriptor = os.dup(0)
    os.close(descriptor)
    kept = [make_environment("pointmaze-medium-navigate-v0", 1) for _ in range(5)]
    assert list(tmp_path.iterdir()) == []
    after = os.dup(0)
    os.close(after)
    assert after == descriptor, "the lowest free descriptor moved up"
    assert tempfile.mkstemp is original and len(kept) == 5
