"""Recorded steps in time order, one row each, as npz and HDF5 files hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from qam_torch.data.action_scaling import unit_actions
from qam_torch.data.array_checks import number_problem
from qam_torch.data.transitions import Transitions
from qam_torch.types import QamError

__all__ = ["RecordedSteps"]

_ROUNDING = 1e-5
"""Share of a value, and of its mean change in a step, by which equal states may differ after rounding."""

_SAMPLED_ROWS = 100_000
"""Number of rows from which the mean change in a step is estimated."""


class RecordedSteps(NamedTuple):
    """N steps in time order. The last step always ends its episode.

    With next observations, an episode also ends where a step's next observation differs from the next row's
    observation: the rows do not continue one another, whatever the flags say.

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

    def breaks(self) -> np.ndarray:
        """Where the flags let an episode continue, but the next row is of another one.

        Returns:
            (N,) bool, true at rows without a flag whose next observation differs from the next row's observation by
            more than rounding.
        """
        found = np.zeros(len(self.rewards), bool)
        if self.next_observations is None:
            return found
        states, following = self.observations, self.next_observations
        differs = (following[:-1] != states[1:]).any(axis=1)
        rows = np.flatnonzero(differs & ~(self.terminals | self.timeouts)[:-1])
        sampled = slice(None, None, max(1, len(states) // _SAMPLED_ROWS))
        change = np.abs(np.subtract(following[sampled], states[sampled], dtype=np.float64)).mean(axis=0)
        gap = np.abs(np.subtract(following[rows], states[rows + 1], dtype=np.float64))
        found[rows] = (gap > _ROUNDING * (change + np.abs(following[rows]))).any(axis=1)
        return found

    def remarks(self) -> Iterator[str]:
        """Remarks on the recording for the user, one line each."""
        if breaks := int(self.breaks().sum()):
            where = _counted(breaks, "step")
            yield f"episodes also end at {where} whose next state differs from the following row's state"
        cuts = np.flatnonzero(self.timeouts & ~self.terminals)
        if self.next_observations is None:
            ends = np.union1d(cuts, [] if self.terminals[-1] else [len(self.rewards) - 1])
            if len(ends):
                yield (
                    f"left out: {_counted(len(ends), 'step')} where an episode is cut without a last state; record "
                    "next states (next_observations, in robomimic's layout next_obs) to keep such steps"
                )
            return
        cuts = cuts[cuts < len(self.rewards) - 1]
        resets = int((self.next_observations[cuts] == self.observations[cuts + 1]).all(axis=1).sum())
        if resets:
            yield (
                f"warning: at {resets:,} of {_counted(len(cuts), 'cut')}, the next state is the first state of the "
                "next episode, as a vector environment that resets itself returns it: record the last state of the "
                "episode, or leave the next states out"
            )

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
            QamError: actions are out of bounds, numbers are too large for the type, or there is no transition.
        """
        for name in ("observations", "rewards", "next_observations"):
            array = getattr(self, name)
            if array is not None and (problem := number_problem(array, np.dtype(f"f{dtype.itemsize}"))):
                raise QamError(f"{source}: '{name}' {problem}")
        actions = unit_actions(self.actions, low, high, source)
        ended, over = self.terminals, self.terminals | self.timeouts | self.breaks()
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


def _counted(count: int, what: str) -> str:
    """ "1 cut", "2,000 cuts"."""
    return f"{count:,} {what}{'s' if count != 1 else ''}"
