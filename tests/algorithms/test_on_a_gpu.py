"""What only a GPU can show: its updates are those of the CPU, and the host waits for none of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from qam_torch.algorithms import QAM, Algorithm
from qam_torch.algorithms.core.fast_update import WARM_UP
from qam_torch.inference.matrix_precision import matrix_precision
from qam_torch.types import Batch
from tests.helpers.algorithms import EVERY_METHOD, kind_of, make, make_batch, make_noise

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

UPDATES = 2 * WARM_UP + 6
GPU = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def waiting_allowed_again() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


def train(algorithm: Algorithm, device: torch.device, dtype: torch.dtype = torch.float64) -> Algorithm:
    """Plain and diagnosed updates in turn; the last member's batch of the last update but one is not finite."""
    algorithm.to(device, dtype)
    algorithm.configure_optimizers()
    noise = make_noise(algorithm, UPDATES)
    for u in range(UPDATES):
        batch = make_batch(algorithm.members, seed=u)
        if algorithm.divergence.freezes and u == UPDATES - 2:
            batch.rewards[-1] = float("nan")
        given = Batch(*(field.to(device, dtype) for field in batch))
        draws = {name: draw[u].to(device, dtype) for name, draw in noise.items()}
        waits = device.type == "cpu" or u < 2 * WARM_UP + 2  # capturing synchronizes
        torch.cuda.set_sync_debug_mode("default" if waits else "error")
        algorithm.update(given, draws, diagnose=u % 2 == 1)
        torch.cuda.set_sync_debug_mode("default")
    return algorithm


def captured(algorithm: Algorithm) -> bool:
    return algorithm.capture_outcome.startswith("CUDA graph, equal to the recorded update")


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("name", EVERY_METHOD)
def test_updates_are_those_of_the_cpu_and_wait_for_nothing(name: str, members: int) -> None:
    states = []
    for device in (torch.device("cpu"), GPU):
        own: dict[str, Any] = {} if members == 1 else {"lr": [3e-4, 1e-2, 1e-3]}
        algorithm = make(kind_of(name), tuple(range(members)), clip_grad=True, **own)
        if members > 1:
            algorithm.freeze_diverged()
        train(algorithm, device)
        assert captured(algorithm) == (device == GPU), algorithm.capture_outcome
        assert algorithm.divergence.diverged_at() == [None] * (members - 1) + [UPDATES - 1 if members > 1 else None]
        states.append({key: value.cpu() for key, value in algorithm.state_dict().items()})
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-7, atol=1e-9, msg=key)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("name", EVERY_METHOD)
def test_single_precision_is_captured_too(name: str, mixed: bool) -> None:
    states = []
    with matrix_precision(GPU, torch.float32):
        for capture in (True, False):
            algorithm = make(kind_of(name), (0, 1), clip_grad=True)
            algorithm.capture, algorithm.mixed_precision = capture, mixed
            train(algorithm, GPU, torch.float32)
            assert captured(algorithm) == capture
            states.append(algorithm.state_dict())
    for key, value in states[0].items():
        torch.testing.assert_close(value, states[1][key], rtol=1e-3, atol=1e-4, msg=key)


def test_draws_do_not_depend_on_how_updates_are_grouped() -> None:
    algorithm = make(QAM, (0, 1)).to(GPU)
    drawn = []
    for counts in ((6,), (1, 3, 2)):
        algorithm.noise = None
        algorithm.prepare_noise(7)
        assert algorithm.noise is not None
        parts = [algorithm.noise.sample(count) for count in counts]
        drawn.append({name: torch.cat([part[name] for part in parts]) for name in parts[0]})
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])
