"""The replay buffer: windows of the dataset, followed by windows of the transitions that each member has collected.

All windows are rows of one table. First come the dataset's rows, shared by all members. Then follows one part per
member. It begins with a copy of the dataset's last h - 1 rows, so that a chunk that starts there continues in the
transitions of this member. Then follow the member's streams, one per environment. A stream is a ring, which overwrites
its oldest transitions:

    dataset | member 0: end of the dataset, stream 0, stream 1, .. | member 1: end of the dataset, stream 0, ..

A window starts at a transition of one stream and continues in that stream in order of time, across the end of the ring
if needed. Only starts that are followed by h transitions are drawn, so that no window reads transitions that do not
exist yet or have been overwritten.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from qam_torch.data.random_numbers import draw_each_update
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import Batch, Experience, QamError, require

__all__ = ["MODES", "ReplayWindows", "episode_ends", "steps_of"]

MODES = ("append", "balanced")


class ReplayWindows:
    """Windows of a dataset, and of transitions that P members collect in E environments each.

    Windows of collected transitions are computed exactly as those of the dataset, see `ChunkWindows`. An episode counts
    as ended only when the next episode has begun. In mode "append" with one stream, the starts are those of the
    reference: all transitions except the last h - 1.

    Args:
        offline: windows of the dataset; they are copied, so the caller should release them.
        members: number of members P, at least 1.
        streams: environments per member E, at least 1.
        capacity: transitions kept per stream, at least 2 h. After that the oldest are overwritten.
        mode: "append": starts are drawn uniformly, as if collected transitions were appended to the dataset.
            "balanced": one half of each batch is drawn from the dataset and one half from the collected transitions. If
            the batch size is odd, the dataset gets one more.

    Raises:
        QamError: an argument is out of range.

    Source: Li & Levine 2026, the reference's replay buffer; balanced sampling: Ball et al. 2023 (RLPD).
    """

    ends_after: ClassVar[int] = 1
    """1 if a window's last state is the one after its last step, 0 if it is the state in which that step acts."""

    def __init__(self, offline: ChunkWindows, members: int, streams: int, capacity: int, mode: str = "append") -> None:
        steps, data = offline.horizon_length, offline.transitions
        require("replay_mode", mode in MODES, mode, " or ".join(MODES))
        if capacity < 2 * steps:
            raise QamError(
                f"a replay buffer of {capacity} transitions per environment is too small: expected at least twice "
                f"algo.horizon_length={steps}, so raise buffer_size or lower num_envs"
            )
        self.horizon_length, self.discounts = steps, offline.discounts
        self.members, self.streams, self.capacity, self.mode = members, streams, capacity, mode
        self.ticks = 0
        """Steps added per environment so far, including overwritten ones."""
        self._data_starts, self._data_size = offline.num_starts, data.num_transitions
        # The first h - 1 actions of a ring are repeated after its end, so that the actions of every chunk are
        # contiguous.
        self._stride = capacity + steps - 1
        tip, part = steps - 1, steps - 1 + streams * self._stride
        slots = members * part
        size, device = self._data_size + slots, data.device
        self._first_state = len(data.states)
        states = torch.empty(self._first_state + 2 * slots, data.observation_dim, dtype=data.dtype, device=device)
        states[: self._first_state] = data.states
        self._actions = torch.zeros(size, data.action_dim, dtype=data.dtype, device=device)
        self._actions[: self._data_size] = data.actions
        rows = torch.zeros(2, size, dtype=torch.int64, device=device)
        columns = torch.zeros(2 + len(self.discounts), size, dtype=data.dtype, device=device)
        self.table = replace(offline.table, states=states, rows=rows, columns=columns, actions=self._actions)
        parts = self._data_size + part * np.arange(members)[:, None]
        self._bases = parts + tip + self._stride * np.arange(streams)
        self._parts = torch.as_tensor(parts, device=device)
        self._copy(offline)
        self._tip = [np.zeros((0, members, streams), kind) for kind in (np.float64, np.float32, bool)]
        """Rewards, masks and begins of the newest steps, whose windows are not complete yet."""

    def _copy(self, offline: ChunkWindows) -> None:
        """Copy the dataset's windows. Those that start in its last h - 1 rows are incomplete, so not valid."""
        data, starts = offline.transitions, self._data_starts
        self.table.rows[:, :starts] = offline.table.rows
        self.table.columns[:, :starts] = offline.table.columns
        rewards, masks, ends = (
            field[starts:].double().cpu().numpy() for field in (data.rewards, data.masks, data.terminals)
        )
        begins = np.concatenate([[True], ends > 0])[: len(ends)]
        columns, lasts = self._window_columns(rewards, masks, begins)
        following = data.next_rows[starts:][self._index(lasts)]
        for part in self._parts.flatten().tolist():
            tip = slice(part, part + len(ends))
            self._actions[tip] = data.actions[starts:]
            self.table.rows[:, tip] = torch.stack([data.state_rows[starts:], following])
            self.table.columns[:, tip] = self._to_device(columns)

    @property
    def device(self) -> torch.device:
        """Device of the table."""
        return self.table.states.device

    @property
    def looks_ahead(self) -> int:
        """Number of steps after its first that a window depends on."""
        return self.horizon_length - self.ends_after

    @property
    def size(self) -> int:
        """Transitions kept per stream."""
        return min(self.ticks, self.capacity)

    @property
    def data_starts(self) -> int:
        """Number of starts in the dataset. Collected transitions follow its end, as in one long array."""
        return self._data_starts + min(self.size, self.horizon_length - 1)

    @property
    def collected_starts(self) -> int:
        """Number of starts in the transitions that a member has collected."""
        return self.streams * max(0, self.size - self.horizon_length + 1)

    # Reading

    def draw(self, updates: int, batch_size: int, generator: torch.Generator, member: int = 0) -> Tensor:
        """Draw starts (U, B) of one member's batches. Starts below `data_starts` are in the dataset."""

        def uniform(low: int, high: int, count: int) -> Tensor:
            device = generator.device
            return draw_each_update(
                updates, lambda: torch.randint(low, high, (count,), generator=generator, device=device)
            )

        split, end = self.data_starts, self.data_starts + self.collected_starts
        if self.mode == "append":
            return uniform(0, end, batch_size)
        if split == end:
            raise QamError(
                f"replay_mode=balanced has only {self.size} collected transitions, less than algo.horizon_length="
                f"{self.horizon_length}: raise start_training"
            )
        half = batch_size // 2
        return torch.cat([uniform(0, self._data_starts, batch_size - half), uniform(split, end, half)], dim=1)

    def gather(self, starts: Tensor) -> Batch:
        """The windows at starts (U, P, B) from `draw`. Nothing is copied to the host."""
        in_part = starts - self._data_starts  # row in the member's part, if it has one stream that has not wrapped
        oldest = self.ticks % self.capacity if self.size == self.capacity else 0
        if oldest or self.streams > 1:
            # Starts are numbered from the oldest transition on. At each time the streams follow one another.
            behind = starts - self.data_starts
            places = (behind // self.streams + oldest) % self.capacity + self._stride * (behind % self.streams)
            in_part = torch.where(behind < 0, in_part, places + (self.horizon_length - 1))
        return self.table.gather(torch.where(starts < self._data_starts, starts, in_part + self._parts))

    # Writing

    def add(self, new: Experience) -> None:
        """Add the next steps of all environments; any number of steps."""
        count = len(new.rewards)
        bounds = [*range(0, count, self.capacity - self.horizon_length), count]
        for first, last in pairwise(bounds):
            self._add(Experience(*(field[first:last] for field in new)))

    def _add(self, new: Experience) -> None:
        """Add at most capacity - h steps, and recompute the windows that contain them."""
        tip = len(self._tip[0])
        fields = zip(self._tip, (new.rewards, new.masks, new.begins), strict=True)
        self._tip = [np.concatenate(pair) for pair in fields]
        columns, lasts = self._window_columns(*self._tip)
        places = (self.ticks - tip + np.arange(len(lasts))) % self.capacity
        slots = places[:, None, None] + self._bases
        states = self._first_state + 2 * (slots - self._data_size)
        index = self._index(slots)
        following = np.take_along_axis(states, lasts, axis=0) + self.ends_after
        self.table.columns.index_copy_(1, index, self._to_device(columns.reshape(len(columns), -1)))
        self.table.rows.index_copy_(1, index, self._index(np.stack([states, following])).reshape(2, -1))

        self._put(self.table.states, states[tip:], new.observations)
        self._put(self.table.states, states[tip:] + 1, new.next_observations)
        self._put(self._actions, slots[tip:], new.actions)
        repeated = places[tip:] < self.horizon_length - 1
        if repeated.any():
            self._put(self._actions, slots[tip:][repeated] + self.capacity, new.actions[repeated])
        self.ticks += len(new.rewards)
        self._tip = [field[max(0, len(field) - self.looks_ahead) :] for field in self._tip]

    def _window_columns(
        self, rewards: np.ndarray, masks: np.ndarray, begins: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Windows of arrays (n, ...) in order of time: columns of a `WindowTable`, and index of each last step."""
        count, starts, ends = len(rewards), steps_of(begins), episode_ends(begins)
        smallest = np.ones(masks.shape, masks.dtype)
        for k in range(min(self.horizon_length, count)):
            inside = starts[: count - k] + k <= ends[: count - k]
            smallest[: count - k] = np.where(
                inside, np.minimum(smallest[: count - k], masks[k:]), smallest[: count - k]
            )
        full = starts + self.horizon_length - 1
        lasts = np.minimum(full, ends)
        valid = (lasts == full).astype(masks.dtype)
        return np.concatenate([smallest[None], valid[None], self._discounted_sums(rewards, begins)]), lasts

    def _discounted_sums(self, rewards: np.ndarray, begins: np.ndarray) -> np.ndarray:
        """Sums (G, n, ...) of a window's rewards up to the end of its episode, for each of the G discounts."""
        count, starts, ends = len(rewards), steps_of(begins), episode_ends(begins)
        total = np.zeros((len(self.discounts), *rewards.shape))
        for k in range(min(self.horizon_length, count)):
            inside = starts[: count - k] + k <= ends[: count - k]
            for sums, discount in zip(total, self.discounts, strict=True):
                sums[: count - k] += np.where(inside, discount**k * rewards[k:], 0.0)
        return total

    def _put(self, where: Tensor, rows: np.ndarray, values: np.ndarray) -> None:
        """Write values (..., F) to rows (...)."""
        where.index_copy_(0, self._index(rows), self._to_device(values.reshape(rows.size, -1)))

    def _index(self, numbers: np.ndarray) -> Tensor:
        return torch.from_numpy(numbers.reshape(-1)).to(self.device)

    def _to_device(self, values: np.ndarray) -> Tensor:
        return torch.as_tensor(values).to(self.device, self.table.states.dtype)


def steps_of(begins: np.ndarray) -> np.ndarray:
    """Index of each step, along the first axis of (n, ...)."""
    return np.zeros(begins.shape, np.int64) + np.arange(len(begins)).reshape(-1, *(1,) * (begins.ndim - 1))


def episode_ends(begins: np.ndarray) -> np.ndarray:
    """Index of the last step of each step's episode: (n, ...). It is n - 1 if no later episode has begun."""
    next_begins = np.where(begins, steps_of(begins), len(begins))
    later = np.concatenate([next_begins[1:], np.full_like(next_begins[:1], len(begins))])
    return np.minimum.accumulate(later[::-1])[::-1] - 1
