"""Times are those of the update, on the chosen clock."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch

from qam_torch.bench.measure import CLOCKS, matrix_peak, measure
from qam_torch.types import QamError
from tests.helpers.workloads import workload

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads only get in one another's way at these sizes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_the_peak_is_no_lower_than_a_products_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qam_torch.bench.measure.PEAK_SIZES", (256,))
    monkeypatch.setattr("qam_torch.bench.measure.PEAK_SECONDS", 0.05)
    assert 1e8 < matrix_peak(CPU) < 1e15


@pytest.mark.slow
def test_cpu_time_leaves_out_what_others_take() -> None:
    """A sleep before every update stands for them."""
    times, small = {}, workload(recorded=True)
    update = small.algorithm.update
    small.algorithm.update = lambda *given, **options: (time.sleep(0.2), update(*given, **options))[1]  # type: ignore
    for name, clock in CLOCKS.items():
        times[name] = measure(small, updates=1, repeats=3, clock=clock)["best_ms_per_update"]
    assert times["cpu"] < 150 < 200 <= times["wall"]


def test_diverging_figures_are_refused() -> None:
    diverged = workload(overrides=["algo.lr=1e30"])
    with pytest.raises(QamError, match="infinite or NaN"):
        measure(diverged, updates=5, repeats=1)
