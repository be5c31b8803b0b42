"""Measure the time and operations of an update, and the peak rate of operations on this machine.

Only matrix products are counted, because they are nearly all of the arithmetic, and their peak rate on a machine can be
measured. A multiplication and an addition count as two operations.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from qam_torch.algorithms.core.fast_update import WARM_UP
from qam_torch.bench.workload import Workload
from qam_torch.system.machine import cpu_cores
from qam_torch.types import QamError

__all__ = ["CLOCKS", "Clock", "machine_info", "matrix_peak", "measure", "synchronize", "time_call"]

Clock = Callable[[], float]
CLOCKS: dict[str, Clock] = {"wall": time.perf_counter, "cpu": time.process_time}
"""Clocks by name. `cpu` is the CPU time of this process, which does not increase while other processes run."""

BLOCK_SECONDS = 2.0
WARM_UP_SECONDS = 1.0
FEWEST_UPDATES = 4
PEAK_SIZES = (1024, 2048, 4096)
PEAK_SECONDS = 0.5


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_call(call: Callable[[], Any], device: torch.device, clock: Clock = time.perf_counter) -> float:
    """Return the seconds that a call takes, including the device's work."""
    synchronize(device)
    start = clock()
    call()
    synchronize(device)
    return clock() - start


def matrix_peak(device: torch.device, dtype: torch.dtype = torch.float32, clock: Clock = time.perf_counter) -> float:
    """Measure the peak rate of square matrix products of sizes 1024, 2048 and 4096.

    Each size is repeated for half a second and at least three times. The rate is that of the fastest product. Sizes of
    which one product would take more than two seconds are skipped.

    Args:
        device: device of the matrices.
        dtype: dtype of the matrices.
        clock: one of the clocks in `CLOCKS`.

    Returns:
        Operations per second.
    """
    best = 0.0
    for size in PEAK_SIZES:
        flops = 2 * size**3
        if best and flops / best > PEAK_SECONDS * 4:
            break
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        out = torch.mm(a, b)
        count, spent = 0, 0.0
        while count < 3 or spent < PEAK_SECONDS:
            once = time_call(partial(torch.mm, a, b, out=out), device, clock)
            count, spent, best = count + 1, spent + once, max(best, flops / once)
    return best


def measure(workload: Workload, updates: int | None, repeats: int, clock: Clock = time.perf_counter) -> dict[str, Any]:
    """Time blocks of updates after a warm-up.

    Args:
        workload: the updates to time.
        updates: number of updates per block, >= 1. None chooses a number that takes about two seconds, at least four.
            This number is rounded down to a multiple of the stack if it exceeds the stack.
        repeats: number of blocks, >= 1.
        clock: one of the clocks in `CLOCKS`.

    Returns:
        Measurements by name. `ms_per_update` is the median over blocks.

    Raises:
        QamError: a loss or another metric became infinite or NaN, which invalidates the times.
    """
    batch, noise = workload.example()

    def timed(diagnose: bool) -> float:
        return time_call(lambda: workload.algorithm.update(batch, noise, diagnose), workload.device, clock)

    first = timed(diagnose=False), timed(diagnose=True)
    if workload.device.type == "cuda":  # warm up until updates of both kinds are captured
        for diagnose in (False, True):
            for _ in range(WARM_UP):
                timed(diagnose)
    once = [timed(diagnose=False) for _ in range(2)]
    while len(once) < workload.stack and sum(once) < WARM_UP_SECONDS:
        once.append(timed(diagnose=False))
    if updates is None:
        updates = max(FEWEST_UPDATES, round(BLOCK_SECONDS / min(once)))
        updates -= updates % workload.stack if updates > workload.stack else 0
    workload.run(min(updates, workload.stack))
    blocks = [1e3 * time_call(lambda: workload.run(updates), workload.device, clock) / updates for _ in range(repeats)]
    bad = [name for name, value in workload.run(1).items() if not value.isfinite().all()]
    if bad:
        raise QamError(f"{bad[0]} became infinite or NaN on synthetic transitions: lower --updates or --repeats")
    median, members = statistics.median(blocks), workload.algorithm.members
    flops = workload.flops()
    return {
        "updates_per_block": updates,
        "updates_per_stack": min(updates, workload.stack),
        "blocks_ms_per_update": blocks,
        "ms_per_update": median,
        "best_ms_per_update": min(blocks),
        "updates_per_s": 1e3 / median,
        "member_updates_per_s": members * 1e3 / median,
        "gflop_per_update": flops / 1e9,
        "gflop_per_s": flops / median / 1e6,
        "first_update_s": first[0],
        "first_update_with_metrics_s": first[1],
    }


def machine_info(device: torch.device) -> dict[str, Any]:
    """Describe the machine of a measurement, in types that JSON can store."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = [
            line.partition(":")[2].strip()
            for line in info.read_text(encoding="utf-8").splitlines()
            if "model name" in line
        ]
        cpu = named[0] if named else cpu
    return {
        "cpu": cpu,
        "cores": cpu_cores(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }
