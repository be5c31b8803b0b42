"""Normalized observations: an algorithm with statistics computes what one without does from normalized data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from qam_torch.algorithms import QAM, RQL, Algorithm
from qam_torch.algorithms.core.acting import CollectingActor, PopulationActor
from qam_torch.inference.load_algorithm import load_algorithm
from qam_torch.rundir.checkpoints import SECTION
from qam_torch.training.description import describe
from tests.helpers.algorithms import EVERY_METHOD, OBSERVATION_DIM, kind_of, make, make_batch, make_noise

MEAN = torch.tensor([3.0, -40.0, 0.5], dtype=torch.float64)
STD = torch.tensor([0.25, 8.0, 100.0], dtype=torch.float64)


def pair(kind: type[Algorithm], **options: Any) -> tuple[Algorithm, Algorithm]:
    """Of the same seeds, with statistics and without."""
    normalized, plain = make(kind, (5, 1), **options), make(kind, (5, 1), **options)
    normalized.normalize(MEAN, STD)
    return normalized, plain


@pytest.mark.parametrize("name", EVERY_METHOD)
def test_gradients_and_policies_see_normalized_observations(name: str) -> None:
    normalized, plain = pair(kind_of(name))
    batch = make_batch(2)
    noise = {key: draw[0] for key, draw in make_noise(plain).items()}
    raw = batch._replace(
        observations=batch.observations * STD + MEAN, next_observations=batch.next_observations * STD + MEAN
    )
    _, found = normalized.gradients(raw, noise)
    _, expected = plain.gradients(batch, noise)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)

    states = np.random.default_rng(0).normal(size=(2, 4, OBSERVATION_DIM))
    seen = states * STD.numpy() + MEAN.numpy()
    np.testing.assert_allclose(PopulationActor(normalized)(seen), PopulationActor(plain)(states), rtol=1e-8)


@pytest.mark.parametrize("kind", [QAM, RQL])  # RQL collects with a policy of its own
def test_collection_sees_normalized_observations(kind: type[Algorithm]) -> None:
    normalized, plain = pair(kind)
    states = np.random.default_rng(0).normal(size=(2, 3, OBSERVATION_DIM))
    active = np.array([True, True])
    seen = states * STD.numpy() + MEAN.numpy()
    np.testing.assert_allclose(
        CollectingActor(normalized, 3)(seen, active), CollectingActor(plain, 3)(states, active), rtol=1e-8
    )


def test_statistics_are_state_only_where_they_are_used() -> None:
    normalized, plain = pair(QAM)
    added = normalized.state_dict().keys() - plain.state_dict().keys()
    assert added == {"normalization.mean", "normalization.std"}
    assert normalized.state_dict()["normalization.mean"].shape == (2, 1, OBSERVATION_DIM)


def test_a_member_of_a_checkpoint_has_them() -> None:
    normalized, _ = pair(QAM)
    arguments = {
        "observation_dim": OBSERVATION_DIM, "action_dim": 2, "seeds": [5, 1], "horizon_length": 3, "num_qs": 3,
        "flow_steps": 4, "actor_hidden_dims": [8, 8], "value_hidden_dims": [8, 8],
    }  # fmt: skip
    checkpoint = {"state_dict": normalized.state_dict(), SECTION: describe(normalized, arguments, {}, {})}
    states = np.random.default_rng(0).normal(size=(2, 4, OBSERVATION_DIM)) * STD.numpy() + MEAN.numpy()
    together = PopulationActor(normalized)(states)
    np.testing.assert_allclose(PopulationActor(load_algorithm(checkpoint))(states), together, rtol=1e-12)
    alone = PopulationActor(load_algorithm(checkpoint, 1))(states[1:])
    np.testing.assert_allclose(alone, together[1:], rtol=1e-9)
