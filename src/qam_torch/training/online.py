"""The parts of the online phase: which policy acts, where experience is stored, and what batches are drawn from it."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from tqdm import tqdm

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.acting import CollectingActor
from qam_torch.data.online_phase import OnlinePhase
from qam_torch.data.replay_log import ReplayLog
from qam_torch.data.window_rules import RULES
from qam_torch.rollout.collector import EnvironmentCollector
from qam_torch.rollout.pools import make_pool
from qam_torch.rundir.paths import RunPaths
from qam_torch.training.schedule import Schedule

__all__ = ["Replay", "build_collector", "build_online_phase"]


class Replay(NamedTuple):
    """How collected experience is kept, and how batches are drawn from it.

    Attributes:
        size: transitions kept per member, the oldest are overwritten; >= 1.
        mode: see `data.replay_buffer.MODES`.
        window_rule: see `data.window_rules.RULES`.
    """

    size: int
    mode: str
    window_rule: str = "qam"

    def capacity(self, schedule: Schedule, horizon_length: int) -> int:
        """Transitions kept of each environment: what the size allows, but no more than the run collects."""
        needed = max(schedule.online_steps // schedule.num_envs, 2 * horizon_length)
        return min(self.size // schedule.num_envs, needed)


def build_collector(
    algorithm: Algorithm, make: partial, num_envs: int, workers: int, horizon_length: int
) -> EnvironmentCollector:
    """The algorithm in environments of each member, which are made when the online phase begins.

    Args:
        algorithm: that acts.
        make: makes one environment.
        num_envs: environments of each member, >= 1.
        workers: processes that step them, >= 0.
        horizon_length: h, steps of a chunk.
    """
    return EnvironmentCollector(
        CollectingActor(algorithm, num_envs),
        lambda: make_pool(make, algorithm.members * num_envs, workers),
        algorithm.seeds,
        num_envs,
        horizon_length,
        tell=tqdm.write,
    )


def build_online_phase(
    schedule: Schedule,
    collector: EnvironmentCollector,
    paths: RunPaths,
    replay: Replay,
    members: int,
    sizes: tuple[int, int],
    horizon_length: int,
) -> OnlinePhase | None:
    """The online phase, None if the run has none.

    Args:
        schedule: of the run.
        collector: gives the experience.
        paths: of the run directory.
        replay: how experience is kept.
        members: P.
        sizes: (O, A).
        horizon_length: h, steps of a chunk.
    """
    if schedule.online_steps == 0:
        return None
    return OnlinePhase(
        offline_steps=schedule.offline_steps,
        steps_each=schedule.num_envs,
        updates=schedule.updates,
        collector=collector,
        log=ReplayLog(paths.replay_log, members, schedule.num_envs, *sizes),
        make_windows=partial(
            RULES[replay.window_rule].replay,
            members=members,
            streams=schedule.num_envs,
            capacity=replay.capacity(schedule, horizon_length),
            mode=replay.mode,
        ),
    )
