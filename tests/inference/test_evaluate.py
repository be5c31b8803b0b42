"""Evaluating a checkpoint: episodes depend on seeds only, and members equal standalone policies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import qam_torch
from qam_torch.algorithms import QAM
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.inference.episodes import evaluate_members
from qam_torch.inference.load_algorithm import load_algorithm
from qam_torch.rollout.evaluation import episode_seeds
from qam_torch.rollout.pools import environments_for, make_pool
from qam_torch.rundir.checkpoints import read_checkpoint
from qam_torch.suites import suite_of
from qam_torch.training.fit import RunResult
from tests.rollout.test_evaluation import countdown

pytestmark = pytest.mark.usefixtures("short_episodes")


def test_it_says_the_same_again_and_other_seeds_say_something_else(finished: RunResult) -> None:
    path = finished.directory / "checkpoints" / "last.ckpt"
    one, two = (qam_torch.evaluate(path, episodes=2, workers=0, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.returns, two.returns)
    assert one.success.shape == (1, 2)
    assert (one.lengths <= 1000).all() and (one.lengths > 0).all()


def test_one_member_is_the_member_of_all(population: RunResult) -> None:
    path = population.directory / "checkpoints" / "last.ckpt"
    every = qam_torch.evaluate(path, episodes=2, workers=0)
    lone = qam_torch.evaluate(path, episodes=2, workers=0, member=2)
    assert lone.success.shape == (1, 2)
    np.testing.assert_array_equal(every.lengths[2:], lone.lengths)
    np.testing.assert_allclose(every.returns[2:], lone.returns)


def test_episodes_that_take_turns_are_the_same(population: RunResult) -> None:
    checkpoint = read_checkpoint(population.directory / "checkpoints" / "last.ckpt")
    run = checkpoint["qam_torch"]["run"]
    algorithm, make = load_algorithm(checkpoint), suite_of(run).make(run)
    found = []
    for environments in (9, 7, 3):
        with make_pool(make, environments, 0) as pool:
            found.append(evaluate_members(algorithm, pool, 3, 2, 5, "stream", record_positions=True))
    for outcome in found[1:]:
        np.testing.assert_array_equal(outcome.lengths, found[0].lengths)
        np.testing.assert_allclose(outcome.returns, found[0].returns)
        for path, expected in zip(outcome.trajectories, found[0].trajectories, strict=True):
            np.testing.assert_allclose(path, expected, atol=1e-3)
    assert not np.allclose(found[0].trajectories[0], found[0].trajectories[1], atol=1e-2)


@pytest.mark.parametrize(("environments", "workers"), [(2, 0), (7, 1), (12, 0)])
def test_every_episode_counts_once_whatever_its_length(environments: int, workers: int) -> None:
    """An environment whose episode is short begins no other one, which would count short ones more often."""
    sizes: dict[str, Any] = {"observation_dim": 1, "action_dim": 1, "actor_hidden_dims": (4,), "flow_steps": 2}
    algorithm = QAM(**sizes, seeds=(3, 4), value_hidden_dims=(4,), horizon_length=2)
    with EnvironmentPool(countdown, environments, workers) as pool:
        outcome = evaluate_members(algorithm, pool, 6, 1, 9, "stream")
    assert outcome.lengths.tolist() == [(3 + episode_seeds(9, 6) % 6).tolist()] * 2


@pytest.mark.parametrize(
    ("members", "episodes", "most", "count"), [(12, 50, 100, 96), (1, 50, 100, 50), (24, 2, 5, 24)]
)
def test_environments_are_no_more_than_asked_for_but_one_a_member(
    members: int, episodes: int, most: int, count: int
) -> None:
    assert environments_for(members, episodes, most) == count


def test_the_behavior_flow_alone(finished: RunResult) -> None:
    path = finished.directory / "checkpoints" / "last.ckpt"
    assert qam_torch.evaluate(path, episodes=1, workers=0, policy="behavior").success.shape == (1, 1)
