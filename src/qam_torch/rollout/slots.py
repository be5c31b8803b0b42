"""Which episode runs in which environment, where there are fewer environments than episodes."""

from __future__ import annotations

import numpy as np

__all__ = ["Slots"]


class Slots:
    """S slots for each of P members, in which their E episodes run in order.

    The next episodes begin in free slots once a quarter of all slots is free, so that the environments are busy and
    few groups of episodes run at different times: a policy draws the noise of each group on its own.

    Args:
        members: P.
        episodes: E, of each member.
        environments: at least P.

    Attributes:
        size: S, as many as there are environments for, but at most E.
        episode: (P, S) int, the number of the episode that runs in each slot, -1 where none does.
    """

    def __init__(self, members: int, episodes: int, environments: int) -> None:
        self.size = min(episodes, environments // members)
        self.episode = np.full((members, self.size), -1)
        self._episodes = episodes
        self._begun = np.zeros(members, np.int64)

    def begin(self) -> np.ndarray:
        """Begin the next episodes if it is time: (P, S) int, the number of the episode, -1 where none begins."""
        begins = np.full_like(self.episode, -1)
        for p, begun in enumerate(self._begun):
            free = np.flatnonzero(self.episode[p] < 0)[: self._episodes - begun]
            begins[p, free] = begun + np.arange(len(free))
        begin = begins >= 0
        enough = min(max(1, begins.size // 4), self._episodes * len(self._begun) - self._begun.sum())
        if begin.sum() < enough and (self.episode >= 0).any():
            return np.full_like(begins, -1)
        self._begun += begin.sum(axis=1)
        self.episode[begin] = begins[begin]
        return begins

    def end(self, over: np.ndarray) -> None:
        """Free the slots (P, S) bool whose episodes are over."""
        self.episode[over] = -1
