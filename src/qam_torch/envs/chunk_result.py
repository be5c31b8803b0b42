"""What an environment host reports: the spaces of an environment, and the results of a chunk of actions.

Imported in worker processes: only numpy and gymnasium, no torch.
"""

from __future__ import annotations

from typing import NamedTuple

import gymnasium
import numpy as np

from qam_torch.envs.recording import HostFailure

__all__ = ["ChunkResult", "Spaces", "spaces_of"]


class Spaces(NamedTuple):
    """Sizes of the vectors of an environment, its action bounds (A,), and its time limit in steps or None."""

    observation_dim: int
    action_dim: int
    action_low: np.ndarray
    action_high: np.ndarray
    max_episode_steps: int | None


class ChunkResult(NamedTuple):
    """Results of one chunk of actions in each of n environments. Inactive rows took no step.

    Attributes:
        observations: (n, O) float32, state after the chunk, or the last known state.
        rewards: (n,) float64, sum of the rewards of the steps taken.
        steps: (n,) int64, steps taken, at most h.
        success: (n,) bool, whether info reported success at any of these steps, see `envs.verdict`.
        reported: (n,) bool, whether info contained success at all; most Gymnasium environments do not report it.
        terminated: (n,) bool, the episode has terminated.
        truncated: (n,) bool, the episode has reached its time limit.
        positions: per row (k, 2), xy after each step, in an episode's first chunk also before it; None unless recorded.
        frames: per row (k, H, W, 3) uint8, images after each `frame_every`-th step of the episode (the start included)
            and at its end; None for rows without images, and unless recorded.
        metrics: (n, M) float64, custom metrics of the episode so far, nan where a metric has no value; None if M = 0.
    """

    observations: np.ndarray
    rewards: np.ndarray
    steps: np.ndarray
    success: np.ndarray
    reported: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    positions: list[np.ndarray | None] | None = None
    frames: list[np.ndarray | None] | None = None
    metrics: np.ndarray | None = None


def spaces_of(environment: gymnasium.Env) -> Spaces:
    """Read the spaces of an environment; raises HostFailure if one is not a Box with one axis."""
    observation, action = environment.observation_space, environment.action_space
    for kind, space in (("observations", observation), ("actions", action)):
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise HostFailure(f"the environment's {kind} are {space}, expected a Box with one axis: flatten them")
    assert isinstance(observation, gymnasium.spaces.Box) and isinstance(action, gymnasium.spaces.Box)
    name = "_max_episode_steps"  # of the TimeLimit wrapper, at any depth
    limit = environment.get_wrapper_attr(name) if environment.has_wrapper_attr(name) else None
    return Spaces(observation.shape[0], action.shape[0], action.low.copy(), action.high.copy(), limit)
