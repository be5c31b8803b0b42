"""The online phase as the data module sees it: experience comes in, and is kept in memory and on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch

from qam_torch.data.replay_buffer import ReplayWindows
from qam_torch.data.replay_log import ReplayLog
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import Experience

__all__ = ["Collector", "OnlinePhase"]


class Collector(Protocol):
    """Whoever acts in the environments."""

    def collect(self) -> Experience:
        """One step in every environment, (1, P, E, ...)."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """All that the next step depends on, the environments' states included."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from there."""
        ...

    def close(self) -> None:
        """Release the environments."""
        ...


class OnlinePhase:
    """Where transitions come from and go to after the offline phase.

    offline_steps  int >= 0  updates of the offline phase
    steps_each     int >= 1  steps that go by when every environment of a member takes one: E
    updates        steps made in both phases -> gradient updates that belong to them
    collector      acts in the environments
    log            keeps what is collected for a continued run
    make_windows   windows of the dataset -> the replay windows that start with them
    """

    def __init__(
        self,
        *,
        offline_steps: int,
        steps_each: int,
        updates: Callable[[int], int],
        collector: Collector,
        log: ReplayLog,
        make_windows: Callable[[ChunkWindows], ReplayWindows],
    ) -> None:
        self.offline_steps, self.steps_each, self.updates = offline_steps, steps_each, updates
        self.collector, self.log, self.make_windows = collector, log, make_windows
        self.windows: ReplayWindows | None = None

    def begin(self, windows: ChunkWindows) -> ReplayWindows:
        """Open the replay buffer behind the dataset's windows."""
        self.windows = self.make_windows(windows)
        return self.windows

    def advance(self) -> None:
        """Act, then store."""
        assert self.windows is not None
        experience = self.collector.collect()
        self.log.append(experience)
        self.windows.add(experience)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs; the transitions themselves are on the disk when this returns."""
        return {"log": self.log.flush(), "collector": _each(self.collector.state_dict(), np.ndarray, torch.tensor)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Fill the buffer from the log, and put the environments where they were."""
        assert self.windows is not None
        for experience in self.log.restore(state_dict["log"]):
            self.windows.add(experience)
        self.collector.load_state_dict(_each(state_dict["collector"], torch.Tensor, torch.Tensor.numpy))

    def close(self) -> None:
        """Release environments and file."""
        self.collector.close()
        self.log.close()


def _each(state: Any, kind: type, convert: Callable[[Any], Any]) -> Any:
    """The same nest of dictionaries and lists with all things of a kind converted: a checkpoint holds tensors only."""
    if isinstance(state, kind):
        return convert(state)
    if isinstance(state, dict):
        return {name: _each(part, kind, convert) for name, part in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_each(part, kind, convert) for part in state)
    return state
