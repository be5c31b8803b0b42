"""Rewards and masks of a single task, by OGBench's own rule."""

from __future__ import annotations

from collections.abc import Mapping

import gymnasium
import numpy as np
from ogbench.relabel_utils import relabel_dataset

from qam_torch.data.files import kept_rows
from qam_torch.types import QamError

__all__ = ["task_rewards"]


def task_rewards(
    env: gymnasium.Env, env_name: str, arrays: Mapping[str, np.ndarray], sparse: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Rewards and masks of the kept transitions of a raw file for a single-task environment.

    env       a single-task OGBench environment; it is reset
    env_name  its name, e.g. "pointmaze-medium-singletask-task1-v0"; OGBench chooses the rule by the words in it
    arrays    raw file (see `files.read_npz`): terminals, qpos and, where the task has buttons, button_states
    sparse    every reward that is not zero becomes -1
    ->  rewards (N,) float32, masks (N,) float32 in {0, 1}; N = rows that are not terminal

    Raises QamError when the environment has no task, or the file's sizes are not the environment's.
    Source: ogbench.relabel_utils.relabel_dataset, called as it is.
    """
    unwrapped = env.unwrapped
    if getattr(unwrapped, "_reward_task_id", None) is None:
        raise QamError(f"environment '{env_name}' has no reward task: use a '...-singletask-...' environment")
    env.reset()  # the manipulation environments have no model before
    model = getattr(unwrapped, "model", None)
    if model is not None and arrays["qpos"].shape[1] != model.nq:
        raise QamError(
            f"data file: 'qpos' has size {arrays['qpos'].shape[1]} but environment '{env_name}' has {model.nq}: "
            "use the data set that belongs to this environment"
        )
    kept = kept_rows(arrays["terminals"])
    reduced = {key: arrays[key][kept] for key in ("qpos", "button_states") if key in arrays}
    try:
        relabel_dataset(env_name, env, reduced)
    except KeyError as error:
        raise QamError(f"data file has no {error}, which the rewards of environment '{env_name}' need") from None
    except ValueError as error:
        raise QamError(f"cannot relabel the data file for environment '{env_name}': {error}") from error
    rewards, masks = reduced["rewards"], reduced["masks"]
    if sparse:
        rewards = np.where(rewards != 0.0, np.float32(-1.0), np.float32(0.0))
    return rewards, masks
