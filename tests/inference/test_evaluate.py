"""Evaluating a checkpoint: episodes depend on seeds only, and members equal standalone policies."""

from __future__ import annotations

import numpy as np
import pytest

import qam_torch
from qam_torch.inference.episodes import evaluate_members
from qam_torch.inference.load_algorithm import load_algorithm
from qam_torch.rollout.pools import environments_for, make_pool
from qam_torch.rundir.checkpoints import read_checkpoint
from qam_torch.suites import suite_of
from qam_torch.training.fit import RunResult


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


@pytest.mark.slow
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
            np.testing.assert_allclose(path[:100], expected[:100], atol=1e-3)  # before a bump magnifies roundings
    assert not np.allclose(found[0].trajectories[0][:100], found[0].trajectories[1][:100], atol=1e-2)


@pytest.mark.parametrize(
    ("members", "episodes", "most", "count"), [(12, 50, 100, 96), (1, 50, 100, 50), (24, 2, 5, 24)]
)
def test_environments_are_no_more_than_asked_for_but_one_a_member(
    members: int, episodes: int, most: int, count: int
) -> None:
    assert environments_for(members, episodes, most) == count


def test_the_behaviour_flow_alone(finished: RunResult) -> None:
    path = finished.directory / "checkpoints" / "last.ckpt"
    assert qam_torch.evaluate(path, episodes=1, workers=0, policy="behavior").success.shape == (1, 1)
