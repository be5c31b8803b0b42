"""The online phase of the data module: collect experience, and store it in memory and on disk."""

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
    """Acts in the environments."""

    def collect(self) -> Experience:
        """Take one step in every environment; returns (1, P, E, ...)."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything on which the next step depends, including the states of the environments."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        ...

    def close(self) -> None:
        """Release the environments."""
        ...


class OnlinePhase:
    """Collects transitions after the offline phase and stores them.

    Args:
        offline_steps: updates of the offline phase, at least 0.
        steps_each: environments per member E, at least 1. When each takes one step, the run counts E steps.
        updates: number of steps in both phases -> number of gradient updates up to then.
        collector: acts in the environments.
        log: stores experience on disk, for resumed runs.
        make_windows: windows of the dataset -> replay buffer that begins with them.
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
        """Create the replay buffer, which starts with the dataset's windows."""
        self.windows = self.make_windows(windows)
        return self.windows

    def advance(self) -> None:
        """Take one step in every environment and store it."""
        assert self.windows is not None
        experience = self.collector.collect()
        self.log.append(experience)
        self.windows.add(experience)

    def state_dict(self) -> dict[str, Any]:
        """The state for a checkpoint. When this returns, all transitions are on disk."""
        return {"log": self.log.flush(), "collector": _convert(self.collector.state_dict(), np.ndarray, torch.tensor)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Fill the buffer from the log, and restore the environments."""
        assert self.windows is not None
        for experience in self.log.restore(state_dict["log"]):
            self.windows.add(experience)
        self.collector.load_state_dict(_convert(state_dict["collector"], torch.Tensor, torch.Tensor.numpy))

    def close(self) -> None:
        """Close the environments and the log."""
        self.collector.close()
        self.log.close()


def _convert(state: Any, kind: type, convert: Callable[[Any], Any]) -> Any:
    """Convert all objects of a type in nested containers, because a checkpoint contains tensors, not arrays."""
    if isinstance(state, kind):
        return convert(state)
    if isinstance(state, dict):
        return {name: _convert(part, kind, convert) for name, part in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(_convert(part, kind, convert) for part in state)
    return state
