"""The two loops of adjoint matching at the paper's size: the memoryless process and its lean adjoint."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from qam_torch.flows import lean_adjoint, sample_memoryless
from qam_torch.networks import VelocityField
from qam_torch.types import Velocity

ROWS, OBSERVATION, WIDTH, STEPS = 256, 46, 25, 10


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def velocity() -> Velocity:
    field = VelocityField(1, OBSERVATION, WIDTH, (512, 512, 512, 512))
    field.initialize([generator()])
    return field.bind(torch.randn(1, ROWS, OBSERVATION, generator=generator()))


@pytest.fixture(scope="module")
def noise() -> Tensor:
    return torch.randn(STEPS + 1, 1, ROWS, WIDTH, generator=generator())


def test_memoryless_process(benchmark: Any, velocity: Velocity, noise: Tensor) -> None:
    with torch.no_grad():
        path = benchmark(sample_memoryless, velocity, velocity, noise[0], noise[1:], STEPS)
    assert path.xs.shape == (STEPS, 1, ROWS, WIDTH) and path.xs.isfinite().all()


def test_lean_adjoint(benchmark: Any, velocity: Velocity, noise: Tensor) -> None:
    with torch.no_grad():
        adjoints = benchmark(lean_adjoint, velocity, noise[1:], noise[0])
    assert adjoints.shape == (STEPS, 1, ROWS, WIDTH) and adjoints.isfinite().all()
