"""Recording a function, and a whole update: nothing is done twice, nothing is left out."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from qam_torch.algorithms import QAM, Algorithm
from qam_torch.algorithms.core.cuda_graph import GraphedUpdate
from qam_torch.algorithms.core.recording import record
from qam_torch.types import Batch
from tests.helpers.algorithms import EVERY_METHOD, kind_of, make, make_batch, make_noise


def operations(recorded: object) -> list[str]:
    graph = recorded.__self__.graph  # type: ignore[attr-defined]
    return [getattr(node.target, "__name__", str(node.target)) for node in graph.nodes if node.op == "call_function"]


def test_repeats_are_computed_once() -> None:
    weight = torch.nn.Parameter(torch.randn(3, 3))

    def function(x: Tensor) -> list[Tensor]:
        return [x @ weight.bfloat16().float(), x.sin() @ weight.bfloat16().float()]

    recorded, x = record(function, [torch.randn(2, 3)]), torch.randn(2, 3)
    assert all(torch.equal(a, b) for a, b in zip(recorded(x), function(x), strict=True))
    assert sum("_to_copy" in name for name in operations(recorded)) == 2  # there and back


def test_what_is_written_to_in_between_is_computed_again() -> None:
    def function(x: Tensor) -> list[Tensor]:
        y = x + 1
        view = y.view(-1)
        before = view * 2
        y.mul_(3)
        return [before, view * 2, y.view(-1) * 2]

    recorded, x = record(function, [torch.randn(2, 3)]), torch.randn(2, 3)
    assert all(torch.equal(a, b) for a, b in zip(recorded(x), function(x), strict=True))


def trained(update: Callable[[Algorithm], Callable[..., object]], updates: int) -> dict[str, Tensor]:
    algorithm = make(QAM)
    noise, step = make_noise(algorithm, updates), update(algorithm)
    for u in range(updates):
        step(make_batch(1, seed=u), {name: draw[u] for name, draw in noise.items()})
    return algorithm.state_dict()


def test_a_graphed_update_makes_every_update_once_on_its_own_copies() -> None:
    """A graph's replay runs the same function again on the same addresses; a stand-in shows what surrounds it."""
    captured: list[int] = []

    def capture(function: Callable[[], None]) -> Callable[[], None]:
        captured.append(1)
        return function

    def graphed(algorithm: Algorithm) -> Callable[..., object]:
        noise = {name: draw[0] for name, draw in make_noise(algorithm).items()}
        return GraphedUpdate(partial(algorithm.update, diagnose=True), make_batch(1), noise, capture)

    plain, other = trained(lambda algorithm: algorithm.update, 6), trained(graphed, 6)
    assert captured == [1]
    assert all(torch.equal(plain[name], other[name]) for name in plain)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", EVERY_METHOD)
def test_updates_on_a_gpu_are_those_of_the_cpu_and_wait_for_nothing(name: str) -> None:
    states = []
    for device in ("cpu", "cuda"):
        algorithm = make(kind_of(name)).to(device)
        algorithm.configure_optimizers()
        noise = make_noise(algorithm, 8)
        for u in range(8):
            batch = Batch(*(field.to(device) for field in make_batch(1, seed=u)))
            draws = {name: draw[u].to(device) for name, draw in noise.items()}
            torch.cuda.set_sync_debug_mode("error" if device == "cuda" and u > 4 else "default")
            algorithm.update(batch, draws)
            torch.cuda.set_sync_debug_mode("default")
        states.append({key: value.cpu() for key, value in algorithm.state_dict().items()})
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-7, atol=1e-9, msg=key)
