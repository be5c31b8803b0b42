"""Assign episodes to environments if there are fewer environments than episodes."""

from __future__ import annotations

import numpy as np

__all__ = ["Slots"]


class Slots:
    """Assigns the E episodes of each of P members, in order, to S slots of the member. A slot is an environment.

    The next episodes begin in free slots once a quarter of all slots is free. This keeps the environments busy, and it
    keeps the number of groups of episodes with different start times small. The policy draws the noise of each group
    separately.

    Args:
        members: P.
        episodes: E, of each member.
        environments: number of environments, at least P.

    Attributes:
        size: S = min(E, environments // P).
        episode: (P, S) int, the number of the episode that runs in each slot, -1 if the slot is free.
    """

    def __init__(self, members: int, episodes: int, environments: int) -> None:
        self.size = min(episodes, environments // members)
        self.episode = np.full((members, self.size), -1)
        self._episodes = episodes
        self._begun = np.zeros(members, np.int64)

    def begin(self) -> np.ndarray:
        """Begin the next episodes if enough slots are free.

        Returns:
            (P, S) int, the number of the episode that begins in each slot, -1 if none begins.
        """
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
        """Free the slots whose episodes are over.

        Args:
            over: (P, S) bool, true for these slots.
        """
        self.episode[over] = -1
