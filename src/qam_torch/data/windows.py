"""Windows of consecutive transitions; all that a batch needs of them is precomputed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from qam_torch.data.random_numbers import draw_each_update
from qam_torch.data.transitions import Transitions
from qam_torch.types import Batch, QamError, require

__all__ = ["ChunkWindows", "WindowTable", "chunks_of"]


@dataclass(frozen=True)
class WindowTable:
    """Precomputed batch entries of S windows.

    Attributes:
        states: (M, O), every state once.
        rows: (2, S), rows in `states` of s and s' of a window.
        columns: (2 + G, S): mask, valid, and reward for each of G discounts.
        actions: (R, A), contiguous; a window at start i has rows i, ..., i + h - 1.
        horizon_length: h, steps in a chunk.
        own: (P, 1), index of each member's discount; None if all are equal.
    """

    states: Tensor
    rows: Tensor
    columns: Tensor
    actions: Tensor
    horizon_length: int
    own: Tensor | None = None

    def gather(self, starts: Tensor) -> Batch:
        """Batch at `starts` (int64, any shape, in [0, S), on the device), without a host sync.

        If members have different discounts, starts are (..., P, B).
        """
        index = starts.reshape(-1)
        rows = self.rows.index_select(1, index).reshape(-1)
        states = self.states.index_select(0, rows).reshape(2, *starts.shape, self.states.shape[1])
        common = self.columns if self.own is None else self.columns[:2]
        columns = common.index_select(1, index).reshape(len(common), *starts.shape)
        if self.own is None:
            rewards = columns[2]
        else:
            places = (starts + self.own * self.columns.shape[1]).reshape(-1)
            rewards = self.columns[2:].view(-1).index_select(0, places).reshape(starts.shape)
        return Batch(states[0], self._actions_at(starts), rewards, columns[0], columns[1], states[1])

    @property
    def chunks(self) -> Tensor:
        """Actions of every window, time-major, see `chunks_of`: (R - h + 1, h A)."""
        return chunks_of(self.actions, self.horizon_length)

    def _actions_at(self, starts: Tensor) -> Tensor:
        """Actions of the windows at starts (...): (..., h A)."""
        chunks = self.chunks
        return chunks.index_select(0, starts.reshape(-1)).reshape(*starts.shape, chunks.shape[1])


def chunks_of(actions: Tensor, horizon_length: int) -> Tensor:
    """Rows a_i..a_{i+h-1} of contiguous actions (R, A), as a view (R - h + 1, h A) that needs no memory."""
    count, size = actions.shape
    return actions.as_strided((count - horizon_length + 1, horizon_length * size), (size, 1))


class ChunkWindows:
    """All windows of h consecutive transitions of a dataset, one per start 0..N-h.

    For a window at i in an episode that ends at e, let n_j = min(j, e - i). Entry j holds
    rewards sum_{k <= n_j} discount^k r_{i+k}, masks min_{k <= n_j} m_{i+k}, valid 1 if i + j <= e else 0, and the
    state after transition i + n_j. A batch has the last one, j = h - 1; actions are the raw a_i..a_{i+h-1} even past
    the end, where valid = 0 drops it from losses on data.

    Args:
        transitions: the dataset.
        horizon_length: h, steps in a chunk, at least 1.
        discount: per step, in [0, 1]; a sequence has one per member.

    Attributes:
        short_episodes: number of episodes shorter than h (no valid window).

    Raises:
        QamError: h is below 1 or longer than the dataset, or a discount is out of range.

    Source: Li & Levine 2026, the reference's sampler of action sequences.
    """

    def __init__(
        self,
        transitions: Transitions,
        horizon_length: int,
        discount: float | Sequence[float],
    ) -> None:
        require("horizon_length", horizon_length >= 1, horizon_length, "an integer >= 1")
        given = [discount] if isinstance(discount, (int, float)) else list(discount)
        require("discount", all(0.0 <= one <= 1.0 for one in given), discount, "a number in [0, 1]")
        self.transitions = transitions
        self.horizon_length = horizon_length
        if transitions.num_transitions < horizon_length:
            raise self._too_long()
        self.short_episodes = int((transitions.episode_lengths < horizon_length).sum())
        self.discounts = list(dict.fromkeys(given))
        several = len(self.discounts) > 1
        own = [[self.discounts.index(one)] for one in given]
        self._own = torch.tensor(own, device=transitions.device) if several else None
        self.num_starts = self._count_starts()
        self.table = self._tabulate()

    @property
    def device(self) -> torch.device:
        """Device of the windows."""
        return self.transitions.device

    def check_usable(self) -> None:
        """Raise QamError if no window can be used in a loss."""
        if self.transitions.longest_episode < self.horizon_length:
            raise self._too_long()

    def _too_long(self) -> QamError:
        longest = self.transitions.longest_episode
        return QamError(
            f"algo.horizon_length={self.horizon_length} exceeds the longest episode ({longest} steps): "
            f"use {longest} or less"
        )

    def _count_starts(self) -> int:
        return self.transitions.num_transitions - self.horizon_length + 1

    def _tabulate(self) -> WindowTable:
        """Compute the table of all windows."""
        data, steps, last = self.transitions, self.horizon_length, self.num_starts
        starts = torch.arange(last, device=data.device)
        ends = data.episode_ends[:last]
        masks = torch.ones(last, dtype=data.dtype, device=data.device)
        for k in range(steps):
            smaller = torch.minimum(masks, data.masks[k : last + k])
            masks = torch.where(starts + k <= ends, smaller, masks)
        final = torch.minimum(starts + steps - 1, ends)
        valid = (final == starts + steps - 1).to(data.dtype)
        columns = torch.cat([masks[None], valid[None], self._discounted_sums(starts, ends)])
        rows = torch.stack([data.state_rows[:last], data.next_rows[final]])
        return WindowTable(data.states, rows, columns, data.actions.contiguous(), steps, self._own)

    def _discounted_sums(self, starts: Tensor, ends: Tensor) -> Tensor:
        """Discounted rewards (G, S) of windows whose episodes end at `ends` (S,), for each discount."""
        data, steps = self.transitions, self.horizon_length
        rewards = torch.zeros(len(self.discounts), len(starts), dtype=torch.float64, device=data.device)
        later = F.pad(data.rewards, (0, steps))
        for k in range(steps):
            inside = starts + k <= ends
            for total, discount in zip(rewards, self.discounts, strict=True):
                total += torch.where(inside, discount**k * later[k : k + len(starts)].double(), 0.0)
        return rewards.to(data.dtype)

    def __call__(self, starts: Tensor) -> Batch:
        """Batch at `starts` (int64, each in [0, N - h]); fields are (..., O), (..., h A) and (...)."""
        return self.gather(self._checked(starts))

    def gather(self, starts: Tensor) -> Batch:
        """As `__call__`, but `starts` are not checked or moved, so there is no host sync."""
        return self.table.gather(starts)

    def draw(self, updates: int, batch_size: int, generator: torch.Generator, member: int = 0) -> Tensor:
        """Draw starts (U, B) of one member's batches, uniformly over all starts."""
        device = generator.device
        return draw_each_update(
            updates, lambda: torch.randint(self.num_starts, (batch_size,), generator=generator, device=device)
        )

    def steps(self, starts: Tensor) -> dict[str, Tensor]:
        """Every column of the windows at `starts` (...), not only the last: for tests and parity, not for training.

        Returns:
            observations (..., O), actions (..., h, A), next_observations (..., h, O), and rewards, masks, valid,
            terminals (..., h); terminals is 1 from the episode's end (any cause) on, and rewards have the discount of
            the first member.
        """
        starts, data = self._checked(starts), self.transitions
        raw = starts[..., None] + torch.arange(self.horizon_length, device=data.device)
        steps = torch.minimum(raw, data.episode_ends[starts][..., None])
        return {
            "observations": data.states[data.state_rows[starts]],
            "actions": data.actions[raw],
            "masks": torch.cummin(data.masks[steps], dim=-1).values,
            "next_observations": data.states[data.next_rows[steps]],
            **self._running(steps, (raw == steps).to(data.dtype)),
        }

    def _running(self, steps: Tensor, inside: Tensor) -> dict[str, Tensor]:
        """The entries of `steps` common to all window rules; `inside` is 1 for the steps inside the episode."""
        data = self.transitions
        discounts = torch.tensor(
            [self.discounts[0] ** k for k in range(self.horizon_length)], dtype=data.dtype, device=data.device
        )
        return {
            "rewards": torch.cumsum(discounts * data.rewards[steps] * inside, dim=-1),
            "valid": inside,
            "terminals": data.terminals[steps].to(data.dtype),
        }

    def _checked(self, starts: Tensor) -> Tensor:
        starts = torch.as_tensor(starts, dtype=torch.int64, device=self.transitions.device)
        if starts.numel() and (int(starts.min()) < 0 or int(starts.max()) >= self.num_starts):
            raise QamError(f"window starts {int(starts.min())}..{int(starts.max())}: use 0..{self.num_starts - 1}")
        return starts
