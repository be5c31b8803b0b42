"""Measure the speed of QAM's update at the paper's size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from qam_torch.bench.benchmark import Benchmark
from qam_torch.bench.sizes import PRESETS

__all__ = ["POPULATIONS", "measure_speed"]

POPULATIONS = {"cuda": (1, 12), "cpu": (1,)}
"""Population sizes for each type of device. On a CPU, an update of twelve members takes seconds."""


def measure_speed(device: torch.device, precision: str = "float32") -> Iterator[dict[str, Any]]:
    """Measure one update for each population size.

    Args:
        device: device of the updates.
        precision: "float32" or "bf16-mixed".

    Yields:
        The result of `Benchmark.run`, and `peak_memory_bytes`: peak memory of the GPU, or None on a CPU.
    """
    bench = Benchmark(str(device), precision, "wall", recorded=True, capture="auto", compiled=False)
    for population in POPULATIONS[device.type]:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        result = bench.run(bench.workload("qam", PRESETS["paper"], population), "paper", None, repeats=1)
        memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        yield {**result, "peak_memory_bytes": memory}
