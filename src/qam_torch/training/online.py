"""The parts of the online phase: who acts, where what is seen goes, and what is drawn from it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from qam_torch.algorithms import Algorithm
from qam_torch.config.population import seeds_of
from qam_torch.data.online_phase import OnlinePhase
from qam_torch.data.replay_buffer import ReplayWindows
from qam_torch.data.replay_log import ReplayLog
from qam_torch.inference.policy import CollectingActor
from qam_torch.rollout.collector import EnvironmentCollector
from qam_torch.suites.inputs import Data
from qam_torch.training import components
from qam_torch.training.schedule import Clock

__all__ = ["build_collector", "build_online", "capacity"]


def build_collector(config: DictConfig, algorithm: Algorithm, make: partial) -> EnvironmentCollector:
    """The algorithm in `num_envs` environments of each member; they are made when the online phase begins."""
    return EnvironmentCollector(
        CollectingActor(algorithm, config.num_envs),
        lambda: components.build_pool(make, algorithm.members * config.num_envs, config.online_workers),
        algorithm.seeds,
        config.num_envs,
        config.algo.horizon_length,
        tell=tqdm.write,
    )


def build_online(
    config: DictConfig, clock: Clock, collector: EnvironmentCollector, directory: Path, data: Data
) -> OnlinePhase | None:
    """The online phase, None if the run has none."""
    if clock.online_steps == 0:
        return None
    members = len(seeds_of(config))
    log = ReplayLog(
        directory / "checkpoints" / "replay.bin", members, config.num_envs, data.observation_dim, data.action_dim
    )
    return OnlinePhase(
        offline_steps=clock.offline_steps,
        steps_each=config.num_envs,
        updates=clock.updates,
        collector=collector,
        log=log,
        make_windows=partial(
            ReplayWindows,
            members=members,
            streams=config.num_envs,
            capacity=capacity(config),
            mode=config.buffer,
        ),
    )


def capacity(config: DictConfig) -> int:
    """Transitions kept of each environment: what `buffer_size` allows, but no more than there will be."""
    needed = max(config.online_steps // config.num_envs, 2 * config.algo.horizon_length)
    return min(config.buffer_size // config.num_envs, needed)
