"""Choose the number of environments of a rollout and of the processes that step them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from qam_torch.envs.pool import EnvironmentFailure, EnvironmentPool
from qam_torch.envs.step_metrics import StepMetric
from qam_torch.system.machine import cpu_cores
from qam_torch.types import QamError

__all__ = ["environments_for", "evaluation_pool", "make_pool", "workers_for"]

MANY, FEW = 100, 3
"""Default number of environments of an evaluation: in total if they are small, per process if they are large."""

LARGE = 20e6
"""Size in bytes from which an environment is large. Mazes take 1 to 3 MB, manipulation tasks 150 MB."""


def environments_for(members: int, episodes: int, most: int | None = None) -> int:
    """Return the number of environments for E episodes of each of P members.

    Args:
        members: P.
        episodes: E.
        most: maximum number of environments, but there is at least one per member; None = `MANY`.
    """
    return members * max(1, min(episodes, (most or MANY) // members))


def workers_for(count: int, workers: int | None) -> int:
    """Return the number of worker processes for `count` environments; 0 if this process steps them.

    Args:
        count: number of environments.
        workers: see `make_pool`.
    """
    chosen = _processes(workers)
    return min(chosen, count) if chosen > 1 else 0


def make_pool(make: partial, count: int, workers: int | None, metrics: Sequence[StepMetric] = ()) -> EnvironmentPool:
    """Make a pool of environments.

    Args:
        make: picklable function that makes one environment.
        count: number of environments, >= 1.
        workers: number of processes that step them; None = one per CPU core; 0 and 1 = this process.
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
    """Make the environments of an evaluation, and check that they can be reset and stepped.

    By default, a few environments per process are made first, and each is reset and stepped once. If they are small,
    more environments are added. A few environments keep a process busy. More environments need fewer calls of the
    policy. This matters if a step takes microseconds, as in mazes, whose environments are small.

    Args:
        make: picklable function that makes one environment.
        members: P.
        episodes: E, of each member.
        most: maximum number of environments, >= 1, but there is at least one per member; None = 100, or three per
            process if an environment takes at least 20 MB.
        workers: number of processes that step them; None = one per CPU core; 0 and 1 = this process.
        metrics: custom metrics of episodes.

    Raises:
        QamError: the environments cannot be made, reset or stepped.
    """
    count = environments_for(members, episodes, most)
    few = count if most else min(count, environments_for(members, episodes, FEW * max(1, _processes(workers))))
    pool = make_pool(make, few, workers, metrics)
    try:
        pool.try_out()
        if few < count and pool.environment_bytes < LARGE:
            pool.grow(count)
    except EnvironmentFailure as error:  # nothing has been trained yet, so there is no checkpoint to report
        raise QamError(str(error)) from error
    except BaseException:
        pool.close()
        raise
    return pool


def _processes(workers: int | None) -> int:
    """Return the number of processes; None selects one per CPU core."""
    return cpu_cores() if workers is None else workers
