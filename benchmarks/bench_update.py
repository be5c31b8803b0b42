"""Updates: every method small, QAM at the sizes of `qam-bench`. `extra_info` tells the arithmetic rate."""

from __future__ import annotations

from typing import Any

import pytest

from qam_torch.bench.workload import PRESETS, Workload, method_names


def timed_updates(benchmark: Any, workload: Workload, updates: int) -> None:
    """Blocks of updates, after the recording and two more; every metric of the last must be finite.

    Where nothing is timed, it is one update, which is not recorded.
    """
    workload.algorithm.recorded = benchmark.enabled
    if benchmark.enabled:
        workload.run(2)
    block = updates if benchmark.enabled else 1
    metrics = benchmark.pedantic(workload.run, args=(block,), rounds=5, warmup_rounds=1)
    assert all(value.isfinite().all() for value in metrics.values())
    if benchmark.stats:  # None where nothing is timed
        flops = workload.flops()
        benchmark.extra_info["ms_per_update"] = 1e3 * benchmark.stats["min"] / updates
        benchmark.extra_info["gflop_per_s"] = flops * updates / benchmark.stats["min"] / 1e9


@pytest.mark.parametrize("algo", method_names())
def test_every_method_at_the_small_size(benchmark: Any, algo: str) -> None:
    timed_updates(benchmark, Workload(algo, PRESETS["small"]), updates=50)


@pytest.mark.parametrize(("size", "updates"), [("medium", 10), ("paper", 2)])
@pytest.mark.parametrize("precision", ["float32", "bf16-mixed"])
def test_qam(benchmark: Any, size: str, updates: int, precision: str) -> None:
    timed_updates(benchmark, Workload("qam", PRESETS[size], precision=precision), updates)


@pytest.mark.parametrize("members", [1, 4, 12])
def test_populations(benchmark: Any, members: int) -> None:
    timed_updates(benchmark, Workload("qam", PRESETS["small"], population=members), updates=10)
