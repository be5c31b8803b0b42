"""Results that an environment host returns: the spaces of an environment, and the results of a chunk of actions.

Worker processes import this module, so it must not import torch.
"""

from __future__ import annotations

from typing import NamedTuple

import gymnasium
import numpy as np

from qam_torch.envs.recording import HostFailure

__all__ = ["ChunkResult", "Spaces", "spaces_of"]


class Spaces(NamedTuple):
    """Sizes of an environment's observations and actions, action bounds (A,), and time limit in steps or None."""

    observation_dim: int
    action_dim: int
    action_low: np.ndarray
    action_high: np.ndarray
    max_episode_steps: int | None


class ChunkResult(NamedTuple):
    """Results of one chunk of actions in each of n environments. Inactive environments take no step.

    Attributes:
        observations: (n, O) float32, last observation of each environment.
        rewards: (n,) float64, sum of the rewards of the chunk's steps.
        steps: (n,) int64, number of steps taken, at most h.
        success: (n,) bool, whether info reported success at any of these steps, see `envs.verdict`.
        reported: (n,) bool, whether info reported success or failure; most Gymnasium environments report neither.
        terminated: (n,) bool, whether the episode terminated in this chunk.
        truncated: (n,) bool, whether the episode was truncated in this chunk, e.g. by its time limit.
        positions: list of n arrays (k, 2), xy after each step. In an episode's first chunk, the initial position comes
            first. None in rows without steps; the whole field is None if positions are not recorded.
        frames: list of n arrays (k, H, W, 3) uint8, images at the start of the episode, after every `frame_every`-th
            step, and at the end. None in rows without images; the whole field is None if frames are not recorded.
        metrics: (n, M) float64, custom metrics of the episode so far, nan if a metric has no value; None if M = 0.
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
    """Read the spaces of an environment, and raise HostFailure if one is not a Box with one axis."""
    observation, action = environment.observation_space, environment.action_space
    for kind, space in (("observations", observation), ("actions", action)):
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise HostFailure(f"the environment's {kind} are {space}, expected a Box with one axis: flatten them")
    assert isinstance(observation, gymnasium.spaces.Box) and isinstance(action, gymnasium.spaces.Box)
    name = "_max_episode_steps"  # attribute of the TimeLimit wrapper, which may be inside other wrappers
    limit = environment.get_wrapper_attr(name) if environment.has_wrapper_attr(name) else None
    return Spaces(observation.shape[0], action.shape[0], action.low.copy(), action.high.copy(), limit)
