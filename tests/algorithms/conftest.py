"""Small algorithms and batches for the tests of this room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from qam_torch.algorithms import QAM, QAME, QAMF, Algorithm, NamedNoise
from qam_torch.types import Batch

METHODS: dict[str, type[Algorithm]] = {"qam": QAM, "qam_f": QAMF, "qam_e": QAME}
B, H = 6, 3
OBSERVATION_DIM, ACTION_DIM = 3, 2


def make(kind: type[Algorithm], seeds: Sequence[int] = (0,), **options: Any) -> Algorithm:
    defaults: dict[str, Any] = {
        "observation_dim": OBSERVATION_DIM,
        "action_dim": ACTION_DIM,
        "seeds": seeds,
        "horizon_length": H,
        "num_qs": 3,
        "flow_steps": 4,
        "inv_temp": 3.0,
        "actor_hidden_dims": (8, 8),
        "value_hidden_dims": (8, 8),
    }
    algorithm = kind(**{**defaults, **options}).double()
    algorithm.configure_optimizers()
    return algorithm


def make_batch(members: int, seed: int = 0, width: int = H * ACTION_DIM) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(members, B, *shape, generator=generator, dtype=torch.float64)

    return Batch(
        normal(OBSERVATION_DIM),
        normal(width).clamp(-1, 1),
        -normal().abs(),
        (normal() > 0).double(),
        (normal() > -1).double(),
        normal(OBSERVATION_DIM),
    )


def make_noise(algorithm: Algorithm, updates: int = 1) -> dict[str, torch.Tensor]:
    source = NamedNoise(algorithm.draws(B), algorithm.seeds, "test", dtype=torch.float64)
    return source.sample(updates)


@pytest.fixture(params=list(METHODS))
def kind(request: pytest.FixtureRequest) -> type[Algorithm]:
    return METHODS[request.param]
