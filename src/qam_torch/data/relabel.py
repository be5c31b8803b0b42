"""Compute the rewards and masks of a single task with OGBench's code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from qam_torch.data.ogbench_format import kept_rows
from qam_torch.types import QamError

__all__ = ["TaskRewards", "task_rewards"]


class TaskRewards:
    """Computes the rewards and masks of the transitions of raw files.

    A call draws no random numbers and changes no state, so that any thread may call this object.

    Args:
        env: a single-task OGBench environment. The constructor resets it once; it may be closed afterwards.
        env_name: name of the environment, e.g. "pointmaze-medium-singletask-task1-v0", by which OGBench selects the
            reward function.
        sparse: whether to replace every nonzero reward by -1.

    Raises:
        QamError: the environment has no reward task.

    Source: ogbench.relabel_utils.relabel_dataset, called unchanged.
    """

    def __init__(self, env: gymnasium.Env, env_name: str, sparse: bool = False) -> None:
        if getattr(env.unwrapped, "_reward_task_id", None) is None:
            raise QamError(f"environment '{env_name}' has no reward task: use a '...-singletask-...' environment")
        env.reset()  # sets the goal, and compiles the model of a manipulation task
        self._env: Any = env.unwrapped
        self.env_name, self.sparse = env_name, sparse

    def __call__(self, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Compute the rewards and masks of the transitions of a raw file.

        Args:
            arrays: arrays of a raw file, see `read_npz`: terminals, qpos and, if the task has buttons, button_states.

        Returns:
            rewards (N,) float32 and masks (N,) float32 in {0, 1}; N is the number of rows that are not terminal.

        Raises:
            QamError: an array is missing, or its size differs from the environment's.
        """
        from ogbench.relabel_utils import relabel_dataset  # imports mujoco, which the environment has already imported

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
        # numpy would compare a single column of button states with every button, and the rewards would be wrong.
        expected = {"qpos": getattr(model, "nq", None), "button_states": getattr(self._env, "_num_buttons", None)}
        for key, size in expected.items():
            if size and key in arrays and arrays[key].shape[1] != size:
                raise QamError(
                    f"data file: '{key}' has size {arrays[key].shape[1]} but environment '{self.env_name}' has {size}: "
                    "use the dataset that belongs to this environment"
                )


class _WithoutReset:
    """An environment whose `reset` does nothing. OGBench's function calls `reset`, but it has been reset already."""

    def __init__(self, env: Any) -> None:
        self.unwrapped = env

    def reset(self) -> None:
        pass


def task_rewards(
    env: gymnasium.Env, env_name: str, arrays: Mapping[str, np.ndarray], sparse: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the rewards (N,) and masks (N,) of one file's transitions, both float32, see `TaskRewards`."""
    return TaskRewards(env, env_name, sparse)(arrays)
