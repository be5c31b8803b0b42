"""The rules that turn consecutive transitions into one row of a batch. Methods select a rule by its name."""

from __future__ import annotations

from typing import NamedTuple

from qam_torch.data.episode_replay import EpisodeReplayWindows
from qam_torch.data.episode_windows import EpisodeWindows
from qam_torch.data.replay_buffer import ReplayWindows
from qam_torch.data.windows import ChunkWindows

__all__ = ["RULES", "WindowRule"]


class WindowRule(NamedTuple):
    """One rule: which windows are drawn, and which of their data a batch contains.

    Attributes:
        dataset: class of the windows of a dataset, or of one of its files.
        replay: class of the windows of a dataset and of collected experience.
    """

    dataset: type[ChunkWindows]
    replay: type[ReplayWindows]


RULES = {"qam": WindowRule(ChunkWindows, ReplayWindows), "rql": WindowRule(EpisodeWindows, EpisodeReplayWindows)}
"""The rule of each name in `types.WINDOW_RULES`."""
