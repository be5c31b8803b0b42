"""One call of the policy: at the paper's size for one observation, as online, and small for the 96
environments of a population's evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qam_torch.algorithms.core.acting import CollectingActor, PopulationActor
from qam_torch.bench.workload import PRESETS, Workload

METHODS = ("qam", "qam_f", "qam_e", "dsrl", "qsm")


def test_one_observation(benchmark: Any) -> None:
    """The online phase's: recorded once."""
    algorithm = Workload("qam", PRESETS["paper"]).algorithm
    act = CollectingActor(algorithm, streams=1)
    observation = np.zeros((1, 1, algorithm.observation_dim), np.float32)
    chunks = benchmark(act, observation, np.ones(1, bool))
    assert chunks.shape == (1, 1, algorithm.chunk_dim)


@pytest.mark.parametrize("algo", METHODS)
def test_a_population_in_evaluation(benchmark: Any, algo: str) -> None:
    algorithm = Workload(algo, PRESETS["small"], population=12).algorithm
    act = PopulationActor(algorithm)
    chunks = benchmark(act, np.zeros((12, 8, algorithm.observation_dim), np.float32))
    assert chunks.shape == (12, 8, algorithm.chunk_dim)
