"""Build the online phase: which policy acts, where experience is stored, and how batches are drawn from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tqdm import tqdm

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.acting import CollectingActor
from qam_torch.data.online_phase import OnlinePhase
from qam_torch.data.replay_buffer import MODES
from qam_torch.data.replay_log import ReplayLog
from qam_torch.data.window_rules import RULES
from qam_torch.rollout.collector import EnvironmentCollector
from qam_torch.rollout.pools import make_pool
from qam_torch.rundir.paths import RunPaths
from qam_torch.training.schedule import Schedule
from qam_torch.types import is_integer, require

__all__ = ["Replay", "build_collector", "build_online_phase"]


@dataclass(frozen=True)
class Replay:
    """Settings of the replay buffer.

    Args:
        buffer_size: transitions kept per member, >= 1; after that the oldest are overwritten.
        replay_mode: how batches are drawn, see `data.replay_buffer.MODES`.

    Raises:
        QamError: a value is out of range.
    """

    buffer_size: int
    replay_mode: str

    def __post_init__(self) -> None:
        require("replay_mode", self.replay_mode in MODES, self.replay_mode, " or ".join(MODES))
        require("buffer_size", is_integer(self.buffer_size, 1), self.buffer_size, "an integer >= 1")

    def capacity(self, schedule: Schedule, horizon_length: int) -> int:
        """Transitions kept per environment: the buffer size, but not more than the run collects."""
        needed = max(schedule.online_steps // schedule.num_envs, 2 * horizon_length)
        return min(self.buffer_size // schedule.num_envs, needed)


def build_collector(
    algorithm: Algorithm, make: partial, num_envs: int, workers: int, execute_steps: int | None
) -> EnvironmentCollector:
    """Make the collector of experience. Its environments are made when the online phase begins.

    Args:
        algorithm: the algorithm that acts.
        make: makes one environment.
        num_envs: environments of each member, >= 1.
        workers: processes that step them, >= 0.
        execute_steps: executed actions per chunk, from 1 to h; None for all.
    """
    return EnvironmentCollector(
        CollectingActor(algorithm, num_envs),
        lambda: make_pool(make, algorithm.members * num_envs, workers),
        algorithm.seeds,
        num_envs,
        algorithm.horizon_length,
        log=tqdm.write,
        execute_steps=execute_steps,
    )


def build_online_phase(
    schedule: Schedule,
    collector: EnvironmentCollector,
    paths: RunPaths,
    replay: Replay,
    algorithm: Algorithm,
    sizes: tuple[int, int],
) -> OnlinePhase | None:
    """Make the online phase; None if the run has none.

    Args:
        schedule: the run's schedule.
        collector: from `build_collector`.
        paths: paths in the run directory.
        replay: settings of the replay buffer.
        algorithm: the run's algorithm.
        sizes: sizes of observations and actions, (O, A).
    """
    if schedule.online_steps == 0:
        return None
    return OnlinePhase(
        offline_steps=schedule.offline_steps,
        steps_each=schedule.num_envs,
        updates=schedule.updates,
        collector=collector,
        log=ReplayLog(paths.replay_log, algorithm.members, schedule.num_envs, *sizes),
        make_windows=partial(
            RULES[algorithm.windows].replay,
            members=algorithm.members,
            streams=schedule.num_envs,
            capacity=replay.capacity(schedule, algorithm.horizon_length),
            mode=replay.replay_mode,
        ),
    )
