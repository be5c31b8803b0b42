"""How many environments a rollout uses, and in how many processes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qam_torch.envs.pool import EnvironmentFailure, EnvironmentPool
from qam_torch.envs.step_metrics import StepMetric
from qam_torch.system.machine import cpu_cores
from qam_torch.types import QamError

__all__ = ["MANY", "environments_for", "evaluation_pool", "make_pool", "workers_for"]

MANY, FEW = 100, 3
"""Environments of an evaluation: in all where each is small, and in each process where they are large."""

LARGE = 20e6
"""Bytes of an environment from which it is large: mazes take 1 to 3 MB, manipulation tasks 150."""


def environments_for(members: int, episodes: int, most: int) -> int:
    """Environments to make for E episodes of each of P members: at most `most`, but at least one per member."""
    return members * max(1, min(episodes, most // members))


def workers_for(count: int, workers: int | None) -> int:
    """Worker processes for `count` environments, 0 for this process alone; `workers` as of `make_pool`."""
    chosen = _processes(workers)
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


def evaluation_pool(
    make: partial,
    members: int,
    episodes: int,
    most: int | None,
    workers: int | None,
    metrics: Sequence[StepMetric] = (),
) -> EnvironmentPool:
    """Make the environments of an evaluation, after the first of them were reset and stepped once.

    Stepping is bound by the processes, and a few environments in each keep them busy. More of them save calls of the
    policy, which counts where a step takes microseconds, as in mazes; these environments are small.

    Args:
        make: picklable function that makes one environment.
        members: P.
        episodes: E, of each member.
        most: environments at a time, >= 1, but at least one per member; None = 100, or three per process where an
            environment takes more than 20 MB.
        workers: processes that step them; None = one per CPU core; 0 and 1 = this process.
        metrics: custom metrics of episodes.

    Raises:
        QamError: the environments cannot be made, reset or stepped.
    """
    count = environments_for(members, episodes, most or MANY)
    few = count if most else min(count, environments_for(members, episodes, FEW * max(1, _processes(workers))))
    pool = make_pool(make, few, workers, metrics)
    try:
        pool.try_out()
        if few < count and pool.environment_bytes < LARGE:
            pool.grow(count)
    except EnvironmentFailure as error:  # before anything was trained that a checkpoint could keep
        raise QamError(str(error)) from error
    except BaseException:
        pool.close()
        raise
    return pool


def _processes(workers: int | None) -> int:
    return cpu_cores() if workers is None else workers
