"""Rewards and masks of a single task, by OGBench's own rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from ogbench.relabel_utils import relabel_dataset

from qam_torch.data.ogbench_format import kept_rows
from qam_torch.types import QamError

__all__ = ["TaskRewards", "task_rewards"]


class TaskRewards:
    """The rule that gives the transitions of any raw file their rewards and masks.

    env       a single-task OGBench environment; it is reset here, once; it may be closed afterwards
    env_name  its name, e.g. "pointmaze-medium-singletask-task1-v0"; OGBench chooses the rule by the words in it
    sparse    every reward that is not zero becomes -1

    Calling it draws no random numbers and changes nothing, so a thread may. Raises QamError when the environment has no
    task. Source: ogbench.relabel_utils.relabel_dataset, called as it is.
    """

    def __init__(self, env: gymnasium.Env, env_name: str, sparse: bool = False) -> None:
        if getattr(env.unwrapped, "_reward_task_id", None) is None:
            raise QamError(f"environment '{env_name}' has no reward task: use a '...-singletask-...' environment")
        env.reset()  # sets the task's goal; the manipulation environments have no model before
        self._env: Any = env.unwrapped
        self.env_name, self.sparse = env_name, sparse

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Rewards and masks of the kept transitions of a raw file.

        arrays  raw file (see `files.read_npz`): terminals, qpos and, where the task has buttons, button_states
        ->      rewards (N,) float32, masks (N,) float32 in {0, 1}; N = rows that are not terminal

        Raises QamError when the file's sizes are not the environment's.
        """
        self._check(arrays)
        kept = kept_rows(arrays["terminals"])
        reduced = {key: arrays[key][kept] for key in ("qpos", "button_states") if key in arrays}
        try:
            relabel_dataset(self.env_name, _WithoutReset(self._env), reduced)
        except KeyError as error:
            raise QamError(
                f"data file has no {error}, which the rewards of environment '{self.env_name}' need"
            ) from None
        except ValueError as error:
            raise QamError(f"cannot relabel the data file for environment '{self.env_name}': {error}") from error
        rewards, masks = reduced["rewards"], reduced["masks"]
        if self.sparse:
            rewards = np.where(rewards != 0.0, np.float32(-1.0), np.float32(0.0))
        return rewards, masks

    def _check(self, arrays: Mapping[str, np.ndarray]) -> None:
        model = getattr(self._env, "model", None)
        # One column of buttons would be compared with every button, and rewarded for it.
        expected = {"qpos": getattr(model, "nq", None), "button_states": getattr(self._env, "_num_buttons", None)}
        for key, size in expected.items():
            if size and key in arrays and arrays[key].shape[1] != size:
                raise QamError(
                    f"data file: '{key}' has size {arrays[key].shape[1]} but environment '{self.env_name}' has {size}: "
                    "use the dataset that belongs to this environment"
                )


class _WithoutReset:
    """What the rule sees of an environment; it asks for a reset, which has been made."""

    def __init__(self, env: Any) -> None:
        self.unwrapped = env

    def reset(self) -> None:
        pass


def task_rewards(
    env: gymnasium.Env, env_name: str, arrays: Mapping[str, np.ndarray], sparse: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Rewards and masks of one file's kept transitions, (N,) float32 each; see `TaskRewards`."""
    return TaskRewards(env, env_name, sparse)(arrays)
