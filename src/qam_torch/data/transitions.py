"""A dataset on the training device. Every state is stored once, and transitions refer to states by index."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from qam_torch.types import QamError

__all__ = ["ACTION_LIMIT", "Transitions"]

ACTION_LIMIT = 1.0 - 1e-5
"""Largest absolute action kept in the data, so that a tanh policy's inverse stays finite (the reference's value)."""


class Transitions:
    """N transitions in time order over M stored states. Transition i goes from state_rows[i] to next_rows[i].

    Args:
        states: (M, O), every state once. Their dtype and device are those of the dataset.
        state_rows: (N,), row of each transition's state, in [0, M).
        next_rows: (N,), row of each transition's next state, in [0, M).
        actions: (N, A), in [-1, 1].
        rewards: (N,).
        masks: (N,), 0 at success or termination (no bootstrapping), 1 otherwise.
        terminals: (N,), true at the last transition of each episode. The last row always counts as an episode's end.
        clip_actions: whether to clip actions to +-ACTION_LIMIT.

    Attributes:
        episode_lengths: (episodes,) int64 on the CPU, number of transitions per episode, including an unfinished last
            episode.

    Raises:
        QamError: a shape is wrong, a row is out of range, or a number is not finite.
    """

    def __init__(
        self,
        states: Tensor,
        state_rows: Tensor,
        next_rows: Tensor,
        actions: Tensor,
        rewards: Tensor,
        masks: Tensor,
        terminals: Tensor,
        clip_actions: bool = True,
    ) -> None:
        dtype, device = states.dtype, states.device
        self.states = states
        self.state_rows = state_rows.to(device, torch.int64)
        self.next_rows = next_rows.to(device, torch.int64)
        self.actions = actions.to(device, dtype)
        self.rewards = rewards.to(device, dtype)
        self.masks = masks.to(device, dtype)
        self.terminals = terminals.to(device).bool()
        self._check()
        if clip_actions:
            self.actions = self.actions.clamp(-ACTION_LIMIT, ACTION_LIMIT)
        self.episode_lengths = self._lengths()

    def _check(self) -> None:
        if self.states.ndim != 2 or self.actions.ndim != 2:
            raise QamError(
                f"states and actions must have shapes (M, O) and (N, A), got {tuple(self.states.shape)} and "
                f"{tuple(self.actions.shape)}"
            )
        count = self.actions.shape[0]
        if count == 0:
            raise QamError("the dataset has no transitions: check the file and the fraction of it that is used")
        for name in ("state_rows", "next_rows", "rewards", "masks", "terminals"):
            shape = tuple(getattr(self, name).shape)
            if shape != (count,):
                raise QamError(f"{name} has shape {shape}, expected ({count},): one entry per row of actions")
        for name in ("state_rows", "next_rows"):
            low, high = int(getattr(self, name).min()), int(getattr(self, name).max())
            if low < 0 or high >= self.states.shape[0]:
                raise QamError(f"{name} spans {low}..{high}, expected rows of states in 0..{self.states.shape[0] - 1}")
        for name in ("states", "actions", "rewards", "masks"):
            # Cheap first check: a sum needs no memory, and is finite only if all summands are. The sum may also
            # overflow, so the full check follows if it is not finite.
            if bool(getattr(self, name).sum().isfinite()):
                continue
            finite = torch.isfinite(getattr(self, name))
            if not bool(finite.all()):
                row = int(torch.argmin(finite.reshape(finite.shape[0], -1).all(dim=1).long()))
                raise QamError(f"{name} has NaN or infinity, first in row {row}: fix or drop that episode")

    def _lengths(self) -> Tensor:
        ends = torch.nonzero(self.terminals).flatten().cpu()
        if len(ends) == 0 or int(ends[-1]) != self.num_transitions - 1:
            ends = torch.cat([ends, torch.tensor([self.num_transitions - 1])])
        return torch.diff(ends, prepend=torch.tensor([-1]))

    @classmethod
    def from_ogbench(
        cls,
        arrays: Mapping[str, np.ndarray],
        rewards: np.ndarray,
        masks: np.ndarray,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        clip_actions: bool = True,
    ) -> Transitions:
        """Convert a raw OGBench file, in which each trajectory's last row holds only its last state.

        Args:
            arrays: observations (rows, O), actions (rows, A) and terminals (rows,), see `read_npz`.
            rewards: (N,), one per row that is not terminal, see `TaskRewards`.
            masks: (N,), one per row that is not terminal, see `TaskRewards`.
            device: device of the result.
            dtype: floating-point type of the result.
            clip_actions: whether to clip actions to +-ACTION_LIMIT.
        """
        ends = torch.as_tensor(arrays["terminals"]).bool()
        rows = torch.nonzero(~ends).flatten()
        if not bool(ends[-1:].all()) or len(rows) == 0:
            raise QamError("the raw file's last row must be terminal and some rows must not: read it with read_npz")
        return cls(
            states=_tensor(arrays["observations"], dtype).to(device),
            state_rows=rows,
            next_rows=rows + 1,
            actions=_tensor(arrays["actions"], dtype)[rows],
            rewards=_tensor(rewards, dtype),
            masks=_tensor(masks, dtype),
            terminals=ends[rows + 1],
            clip_actions=clip_actions,
        )

    @classmethod
    def from_arrays(
        cls,
        observations: np.ndarray | Tensor,
        actions: np.ndarray | Tensor,
        rewards: np.ndarray | Tensor,
        masks: np.ndarray | Tensor,
        terminals: np.ndarray | Tensor,
        next_observations: np.ndarray | Tensor,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        clip_actions: bool = True,
    ) -> Transitions:
        """Convert arrays with one row per transition, including its next observation (N, O).

        If a next observation equals the observation of the next row in the same episode, it is stored once. All other
        next observations, at least one per episode, become additional states. For the arguments see the class and
        `from_ogbench`.
        """
        states, following = _tensor(observations, dtype), _tensor(next_observations, dtype)
        ends = torch.as_tensor(terminals).bool()
        if states.ndim != 2 or states.shape != following.shape or ends.shape != states.shape[:1]:
            raise QamError(
                f"observations, next_observations and terminals must have shapes (N, O), (N, O) and (N,), got "
                f"{tuple(states.shape)}, {tuple(following.shape)} and {tuple(ends.shape)}"
            )
        rows = torch.arange(len(states))
        shared = torch.zeros(len(states), dtype=torch.bool)
        shared[:-1] = (following[:-1] == states[1:]).all(dim=1) & ~ends[:-1]
        extra = torch.nonzero(~shared).flatten()
        next_rows = rows + 1
        next_rows[extra] = len(states) + torch.arange(len(extra))
        return cls(
            states=torch.cat([states, following[extra]]).to(device),
            state_rows=rows,
            next_rows=next_rows,
            actions=_tensor(actions, dtype),
            rewards=_tensor(rewards, dtype),
            masks=_tensor(masks, dtype),
            terminals=ends,
            clip_actions=clip_actions,
        )

    @property
    def num_transitions(self) -> int:
        """Number of transitions N."""
        return self.actions.shape[0]

    @property
    def observation_dim(self) -> int:
        """Size of an observation, O."""
        return self.states.shape[1]

    @property
    def action_dim(self) -> int:
        """Size of an action, A."""
        return self.actions.shape[1]

    @property
    def device(self) -> torch.device:
        """Device of the arrays."""
        return self.states.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of states, actions, rewards and masks."""
        return self.states.dtype

    @property
    def num_episodes(self) -> int:
        """Number of episodes, including an unfinished last episode."""
        return len(self.episode_lengths)

    @property
    def longest_episode(self) -> int:
        """Number of transitions in the longest episode."""
        return int(self.episode_lengths.max())

    @property
    def episode_ends(self) -> Tensor:
        """Index of the last transition in each transition's episode, (N,) int64."""
        lengths = self.episode_lengths.to(self.device)
        return torch.repeat_interleave(torch.cumsum(lengths, 0) - 1, lengths)

    @property
    def fingerprint(self) -> str:
        """Hash of the whole content. Computing it takes about 0.2 s per million transitions."""
        digest = hashlib.sha256(repr((tuple(self.states.shape), tuple(self.actions.shape), self.dtype)).encode())
        parts = (self.states, self.state_rows, self.next_rows, self.actions, self.rewards, self.masks, self.terminals)
        for part in parts:
            digest.update(part.contiguous().cpu().numpy().data)
        return digest.hexdigest()

    def front(self, fraction: float) -> Transitions:
        """Return the first int(fraction * N) transitions, with the states that they use.

        Args:
            fraction: share of the transitions, in (0, 1].

        Raises:
            QamError: no transition is left.
        """
        count = int(self.num_transitions * fraction) if 0.0 < fraction <= 1.0 else 0
        if count == 0:
            raise QamError(
                f"dataset fraction {fraction} of {self.num_transitions} transitions leaves none: give one in (0, 1]"
            )
        if count == self.num_transitions:
            return self
        rows = torch.cat([self.state_rows[:count], self.next_rows[:count]])
        used, rows = torch.unique(rows, return_inverse=True)
        fields: dict[str, Any] = {
            name: getattr(self, name)[:count].clone() for name in ("actions", "rewards", "masks", "terminals")
        }
        return Transitions(self.states[used], rows[:count], rows[count:], **fields, clip_actions=False)


def _tensor(array: np.ndarray | Tensor, dtype: torch.dtype) -> Tensor:
    return torch.as_tensor(array).to(dtype)
