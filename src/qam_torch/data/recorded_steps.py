"""Recorded steps in time order, one row each, as npz and HDF5 files hold them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from qam_torch.data.action_scaling import unit_actions
from qam_torch.data.transitions import Transitions
from qam_torch.types import QamError

__all__ = ["RecordedSteps"]


class RecordedSteps(NamedTuple):
    """N steps in time order. The last step always ends its episode.

    Without next observations, the next state of a step is the next row's. A row at which an episode is cut then has
    no next state and is not a transition; its state is kept as the next state of the step before. A terminal row is
    kept: nothing is bootstrapped from its next state, so its own state is used there.

    Attributes:
        observations: (N, O), state in which the action was taken.
        actions: (N, A), in the environment's own units.
        rewards: (N,).
        terminals: (N,) bool, true where the step ended the task: no reward can follow.
        timeouts: (N,) bool, true where the episode was cut there, e.g. by a time limit.
        next_observations: (N, O), state after the step, or None.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminals: np.ndarray
    timeouts: np.ndarray
    next_observations: np.ndarray | None = None

    def transitions(
        self,
        low: np.ndarray,
        high: np.ndarray,
        source: str,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Transitions:
        """The steps on the device.

        Args:
            low: lower bounds of the environment's actions, (A,), finite.
            high: upper bounds, (A,), finite. Actions are scaled from the bounds to [-1, 1].
            source: what the steps belong to, for error messages, e.g. "data file my.npz".
            device: device of the result.
            dtype: floating-point type of the result.

        Returns:
            The transitions; masks are 0 where `terminals` is true.

        Raises:
            QamError: actions are out of bounds, or there is no transition.
        """
        actions = unit_actions(self.actions, low, high, source)
        ended, over = self.terminals, self.terminals | self.timeouts
        over[-1] = True
        try:
            if self.next_observations is not None:
                return Transitions.from_arrays(
                    self.observations, actions, self.rewards, ~ended, over, self.next_observations,
                    device=device, dtype=dtype,
                )  # fmt: skip
            kept = ~over | ended
            if not kept.any():
                raise QamError("no row has a next one in its episode: record longer episodes")
            rows = np.flatnonzero(kept)
            following = np.where(ended, np.arange(len(ended)), np.arange(1, len(ended) + 1))
            last = over | ~np.append(kept[1:], False)
            return Transitions(
                states=torch.as_tensor(self.observations).to(device, dtype),
                state_rows=torch.as_tensor(rows),
                next_rows=torch.as_tensor(following[rows]),
                actions=torch.as_tensor(actions[rows]),
                rewards=torch.as_tensor(self.rewards[rows]),
                masks=torch.as_tensor(~ended[rows]),
                terminals=torch.as_tensor(last[rows]),
            )
        except QamError as error:
            raise QamError(f"{source}: {error}") from error
