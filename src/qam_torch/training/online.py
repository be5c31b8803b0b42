"""The parts of the online phase: which policy acts, where experience is stored, and what batches are drawn from it."""

from __future__ import annotations

from functools import partial

from omegaconf import DictConfig
from tqdm import tqdm

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.acting import CollectingActor
from qam_torch.config.population import seeds_of
from qam_torch.data.online_phase import OnlinePhase
from qam_torch.data.replay_buffer import ReplayWindows
from qam_torch.data.replay_log import ReplayLog
from qam_torch.rollout.collector import EnvironmentCollector
from qam_torch.rollout.pools import make_pool
from qam_torch.rundir.paths import RunPaths
from qam_torch.suites import TaskData
from qam_torch.training.schedule import Schedule

__all__ = ["build_collector", "build_online_phase", "replay_capacity"]


def build_collector(config: DictConfig, algorithm: Algorithm, make: partial) -> EnvironmentCollector:
    """The algorithm in `num_envs` environments of each member, which are made when the online phase begins.

    Args:
        config: of the run.
        algorithm: that acts.
        make: makes one environment.
    """
    return EnvironmentCollector(
        CollectingActor(algorithm, config.num_envs),
        lambda: make_pool(make, algorithm.members * config.num_envs, config.online_workers),
        algorithm.seeds,
        config.num_envs,
        config.algo.horizon_length,
        tell=tqdm.write,
    )


def build_online_phase(
    config: DictConfig, schedule: Schedule, collector: EnvironmentCollector, paths: RunPaths, data: TaskData
) -> OnlinePhase | None:
    """The online phase, None if the run has none."""
    if schedule.online_steps == 0:
        return None
    members = len(seeds_of(config))
    log = ReplayLog(paths.replay_log, members, config.num_envs, data.observation_dim, data.action_dim)
    return OnlinePhase(
        offline_steps=schedule.offline_steps,
        steps_each=config.num_envs,
        updates=schedule.updates,
        collector=collector,
        log=log,
        make_windows=partial(
            ReplayWindows,
            members=members,
            streams=config.num_envs,
            capacity=replay_capacity(config),
            mode=config.replay_mode,
        ),
    )


def replay_capacity(config: DictConfig) -> int:
    """Transitions kept of each environment: what `buffer_size` allows, but no more than the run collects."""
    needed = max(config.online_steps // config.num_envs, 2 * config.algo.horizon_length)
    return min(config.buffer_size // config.num_envs, needed)
