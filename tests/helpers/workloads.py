"""Workloads of `qam-bench` that take no time."""

from __future__ import annotations

from typing import Any

from qam_torch.bench.workload import Size, Workload

SMALL = Size(observation_dim=7, action_dim=2, horizon_length=3, hidden=(16, 24), num_qs=3, batch_size=11, flow_steps=3)


def workload(
    algo: str = "qam", size: Size = SMALL, population: int = 1, recorded: bool = False, **more: Any
) -> Workload:
    return Workload(algo, size, population, recorded=recorded, **more)
