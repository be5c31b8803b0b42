"""How many environments a rollout uses, and in how many processes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qam_torch.envs.pool import EnvironmentPool
from qam_torch.envs.step_metrics import StepMetric
from qam_torch.system.machine import cpu_cores

__all__ = ["environments_for", "make_pool", "workers_for"]


def environments_for(members: int, episodes: int, most: int) -> int:
    """Environments to make for E episodes of each of P members: at most `most`, but at least one per member."""
    return members * max(1, min(episodes, most // members))


def workers_for(count: int, workers: int | None) -> int:
    """Worker processes for `count` environments, 0 for this process alone; `workers` as of `make_pool`."""
    chosen = cpu_cores() if workers is None else workers
    return min(chosen, count) if chosen > 1 else 0


def make_pool(make: partial, count: int, workers: int | None, metrics: Sequence[StepMetric] = ()) -> EnvironmentPool:
    """Make a pool of environments.

    Args:
        make: picklable function that makes one environment.
        count: environments, >= 1.
        workers: processes that step them; None = one per CPU core; 0 and 1 = this process.
        metrics: custom metrics of episodes.
    """
    return EnvironmentPool(make, count, workers_for(count, workers), metrics=metrics)
