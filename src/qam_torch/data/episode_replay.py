"""The replay buffer of Reversal Q-Learning: collected transitions count as a dataset that ends with the newest one."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from qam_torch.data.episode_windows import EpisodeWindows, draw_by_episode
from qam_torch.data.replay_buffer import ReplayWindows, episode_ends, steps_of
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import Batch, Experience, QamError

__all__ = ["EpisodeReplayWindows"]


class EpisodeReplayWindows(ReplayWindows):
    """Windows of a dataset and of transitions that P members collect in E environments each, see `EpisodeWindows`.

    Each stream counts as a dataset. An episode that is still running ends, for now, at the newest transition. If the
    beginning of an episode has been overwritten, the remaining transitions count as an episode. A start is a row of the
    table.

    Args:
        offline: an `EpisodeWindows`, see `ReplayWindows`.
        members: see `ReplayWindows`.
        streams: see `ReplayWindows`.
        capacity: see `ReplayWindows`.
        mode: "append": batches are drawn by episode from dataset and collected transitions together. "balanced": rows
            of a batch alternate between the two, beginning with the dataset.

    Raises:
        QamError: an argument is out of range.

    Source: Oberai, Park & Levine 2026, who define the windows but publish no online runs.
    """

    ends_after = 0

    def __init__(self, offline: ChunkWindows, members: int, streams: int, capacity: int, mode: str = "append") -> None:
        super().__init__(offline, members, streams, capacity, mode)
        assert isinstance(offline, EpisodeWindows)
        bases = torch.zeros_like(offline.firsts)
        self._data_episodes = torch.stack([bases, offline.firsts, torch.full_like(bases, self._data_size)])
        self._data_lengths = offline.lengths
        self._begins: list[list[list[int]]] = [[[0] for _ in range(streams)] for _ in range(members)]

    def draw(self, updates: int, batch_size: int, generator: torch.Generator, member: int = 0) -> Tensor:
        """Draw starts (U, B) of one member's batches, see `draw_by_episode`."""
        collected, lengths = self._collected_episodes(member)
        if self.mode == "append":
            episodes = torch.cat([self._data_episodes, collected], dim=1)
            lengths = torch.cat([self._data_lengths, lengths])
            return _starts(episodes, lengths, updates, batch_size, generator)
        if len(lengths) == 0:
            raise QamError(
                f"replay_mode=balanced has only {self.size} collected transitions, and no episode with two: "
                "raise start_training"
            )
        starts = torch.empty(updates, batch_size, dtype=torch.int64, device=self.device)
        rows = batch_size // 2
        starts[:, ::2] = _starts(self._data_episodes, self._data_lengths, updates, batch_size - rows, generator)
        starts[:, 1::2] = _starts(collected, lengths, updates, rows, generator)
        return starts

    def gather(self, starts: Tensor) -> Batch:
        """The windows at starts (U, P, B) from `draw`. Nothing is copied to the host."""
        return self.table.gather(starts)

    def _collected_episodes(self, member: int) -> tuple[Tensor, Tensor]:
        """A member's episodes with at least two transitions: (3, n), see `_starts`, and their lengths (n,)."""
        oldest, episodes_of_streams = self.ticks - self.size, []
        for base, begins in zip(self._bases[member], self._begins[member], strict=True):
            bounds = np.array([*begins, self.ticks])
            firsts = np.maximum(bounds[:-1], oldest)
            lengths = bounds[1:] - firsts
            episodes_of_streams.append(np.stack([np.full_like(firsts, base), firsts, lengths])[:, lengths > 1])
        bases, firsts, lengths = np.concatenate(episodes_of_streams, axis=1)
        episodes = np.stack([bases, firsts, np.full_like(bases, self.capacity)])
        return torch.from_numpy(episodes).to(self.device), torch.from_numpy(lengths).to(self.device)

    def _add(self, new: Experience) -> None:
        for step, member, stream in np.argwhere(new.begins):
            if self.ticks + step > 0:
                self._begins[member][stream].append(self.ticks + int(step))
        super()._add(new)
        oldest = self.ticks - self.size
        for begins in (stream for member in self._begins for stream in member):
            while len(begins) > 1 and begins[1] <= oldest:
                del begins[0]

    def _window_columns(
        self, rewards: np.ndarray, masks: np.ndarray, begins: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        starts, ends = steps_of(begins), episode_ends(begins)
        inside = np.minimum(starts + self.horizon_length, ends + 1) - starts
        mask = np.take_along_axis(masks, starts + inside - 1, axis=0)
        columns = np.concatenate([mask[None], inside[None], self._discounted_sums(rewards, begins)])
        return columns, np.minimum(starts + self.horizon_length, ends)


def _starts(episodes: Tensor, lengths: Tensor, updates: int, batch_size: int, generator: torch.Generator) -> Tensor:
    """Draw starts (U, B) in n episodes.

    The rows of `episodes` (3, n) are: first row of the episode's ring in the table, time of the episode's first
    transition, size of the ring.
    """
    drawn, offsets = draw_by_episode(lengths, updates, batch_size, generator)
    bases, firsts, sizes = episodes[:, drawn]
    return bases + (firsts + offsets) % sizes
