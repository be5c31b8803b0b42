"""The workload is the update of training, and its operations are counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from qam_torch.bench.workload import count_flops
from qam_torch.networks import MLP
from qam_torch.types import Work
from tests.helpers.workloads import workload


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only get in one another's way at these sizes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_an_mlps_products_are_counted_by_hand() -> None:
    """B = 5 rows through 3 -> 4 -> 2, forward and backward in parameters and input."""
    lone, ensemble = MLP((1,), 3, (4,), 2), MLP((2, 3), 3, (4,), 2)
    forward = 2 * 5 * (3 * 4 + 4 * 2)
    x = torch.ones(1, 5, 3, requires_grad=True)
    assert count_flops(lambda: lone(x)) == forward
    assert count_flops(lambda: lone(x).sum().backward()) == 3 * forward
    assert count_flops(lambda: lone(x.detach()).sum().backward()) == 3 * forward - 2 * 5 * 3 * 4
    assert count_flops(lambda: ensemble(x.detach().expand(2, 5, 3))) == 6 * forward


def test_products_inside_torch_func_are_counted() -> None:
    x, w = torch.ones(5, 3), torch.ones(3, 4)
    assert count_flops(lambda: torch.func.vjp(lambda y: y @ w, x)[1](torch.ones(5, 4))) == 2 * (2 * 5 * 3 * 4)


@pytest.mark.parametrize("algo", ["qam", "qam_f", "qam_e"])
def test_what_is_timed_is_what_training_does(algo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stacks of two updates end where two of the trainer's steps end, and so do the metrics."""
    timed, trained = workload(algo, stack=2), workload(algo, stack=2)
    monkeypatch.setattr("qam_torch.algorithms.core.lightning.advance_global_step", lambda *_: None)
    monkeypatch.setattr(type(trained.algorithm), "trainer", None)
    metrics = timed.run(4)
    for step in range(2):
        trained.algorithm.training_step(Work(2, [trained.batch]), step)
    for a, b in zip(timed.algorithm.parameters(), trained.algorithm.parameters(), strict=True):
        assert torch.equal(a, b)
    assert metrics.keys() == trained.algorithm.metrics.keys()
