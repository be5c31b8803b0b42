"""Recorded steps in time order, one per row, as read from npz and HDF5 files."""

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
"""States that differ by less than this count as equal, relative to a state's value plus its mean change per step."""

_SAMPLED_ROWS = 100_000
"""Least number of rows from which the mean change per step is estimated (all rows of smaller data)."""


class RecordedSteps(NamedTuple):
    """N steps in time order. The last step always ends its episode.

    With next observations, an episode also ends at a step whose next observation differs from the next row's
    observation, even if no flag is set.

    Without next observations, the next state of a step is the observation of the next row. If an episode is cut at a
    row, this row has no next state and is not a transition. It is only the next state of the step before. A terminal
    row is a transition: its next state is never used, so it is replaced by its state.

    Attributes:
        observations: (N, O), state in which the action was taken.
        actions: (N, A), in the environment's units.
        rewards: (N,).
        terminals: (N,) bool, true at steps that ended the task, after which no reward can follow.
        timeouts: (N,) bool, true at steps after which the episode was cut, e.g. by a time limit.
        next_observations: (N, O), state after the step, or None.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminals: np.ndarray
    timeouts: np.ndarray
    next_observations: np.ndarray | None = None

    def breaks(self) -> np.ndarray:
        """Find steps without a flag after which another episode begins.

        Returns:
            (N,) bool, true if no flag is set and the next observation differs from the next row's observation by more
            than rounding.
        """
        is_break = np.zeros(len(self.rewards), bool)
        if self.next_observations is None:
            return is_break
        states, following = self.observations, self.next_observations
        differs = (following[:-1] != states[1:]).any(axis=1)
        rows = np.flatnonzero(differs & ~(self.terminals | self.timeouts)[:-1])
        sampled = slice(None, None, max(1, len(states) // _SAMPLED_ROWS))
        change = np.abs(np.subtract(following[sampled], states[sampled], dtype=np.float64)).mean(axis=0)
        gap = np.abs(np.subtract(following[rows], states[rows + 1], dtype=np.float64))
        is_break[rows] = (gap > _ROUNDING * (change + np.abs(following[rows]))).any(axis=1)
        return is_break

    def remarks(self) -> Iterator[str]:
        """Yield remarks about the recording, one line each, for a run to print."""
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
        """Convert the steps to transitions on a device.

        Args:
            low: lower bounds of the environment's actions, (A,), finite.
            high: upper bounds, (A,), finite. Actions are scaled from the bounds to [-1, 1].
            source: name of the data, for error messages, e.g. "data file my.npz".
            device: device of the result.
            dtype: floating-point type of the result.

        Returns:
            The transitions. Masks are 0 at terminal steps.

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
    """Format a number with its noun, e.g. "1 cut" or "2,000 cuts"."""
    return f"{count:,} {what}{'s' if count != 1 else ''}"
