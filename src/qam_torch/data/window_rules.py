"""The rules by which consecutive transitions become a row of a batch, by the names with which methods declare them."""

from __future__ import annotations

from typing import NamedTuple

from qam_torch.data.episode_replay import EpisodeReplayWindows
from qam_torch.data.episode_windows import EpisodeWindows
from qam_torch.data.replay_buffer import ReplayWindows
from qam_torch.data.windows import ChunkWindows

__all__ = ["RULES", "WindowRule"]


class WindowRule(NamedTuple):
    """One rule: which windows are drawn, and what a batch carries of each.

    Attributes:
        dataset: the windows of a dataset, or of one of its files.
        replay: the windows of a dataset and of collected experience.
    """

    dataset: type[ChunkWindows]
    replay: type[ReplayWindows]


RULES = {"qam": WindowRule(ChunkWindows, ReplayWindows), "rql": WindowRule(EpisodeWindows, EpisodeReplayWindows)}
"""By name; `types.WINDOW_RULES` lists the names."""
