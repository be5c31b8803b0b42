"""What every suite offers, and what it gives to a run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from omegaconf import DictConfig

from qam_torch.data.shards import Shards
from qam_torch.data.transitions import Transitions
from qam_torch.types import MazeLayout

__all__ = ["Suite", "TaskData"]


class TaskData(NamedTuple):
    """The transitions of a task on the training device, and where they come from.

    Attributes:
        transitions: on the device, or the files that are rotated there; None once they are handed over.
        observation_dim: O.
        action_dim: A.
        source: name, path, origin and sha256 of the data, and how much data there is.
        environment: plain values from which the suite makes the environment again; stored in checkpoints. The key
            `source` is the suite's name, `env_name` what the environment is called.
        layout: the map, for mazes.
    """

    transitions: Transitions | Shards | None
    observation_dim: int
    action_dim: int
    source: dict[str, Any]
    environment: dict[str, Any]
    layout: MazeLayout | None = None

    def fraction(self, share: float) -> TaskData:
        """The first part of the data, a share in (0, 1] of its episodes or files, and its size in `source`."""
        source = {**self.source, "fraction": share}
        if isinstance(self.transitions, Shards):
            shards = self.transitions.front(share)
            return self._replace(transitions=shards, source={**source, "files": len(shards.files)})
        assert self.transitions is not None
        transitions = self.transitions.front(share)
        sizes = {"transitions": transitions.num_transitions, "episodes": transitions.num_episodes}
        return self._replace(transitions=transitions, source={**source, **sizes})


class Suite(Protocol):
    """A source of data together with the environments that the data belong to."""

    def check(self, config: DictConfig) -> None:
        """Check the keys `env.*`, `task` and `data.path` before anything is computed.

        Raises:
            QamError: a key is missing, out of range, or belongs to another suite.
        """
        ...

    def load(self, config: DictConfig, device: torch.device, dtype: torch.dtype) -> TaskData:
        """Find, generate or fetch the data, check them against the environment, and put them on the device."""
        ...

    def make(self, environment: Mapping[str, Any]) -> partial:
        """A picklable function that makes the environment; it takes actions in [-1, 1].

        Args:
            environment: as in `TaskData.environment`.
        """
        ...

    def make_for_video(self, environment: Mapping[str, Any]) -> partial:
        """The same for an environment that is rendered."""
        ...

    def title(self, environment: Mapping[str, Any]) -> str:
        """Name of the environment and its task, e.g. "cube-triple-play-v0, task 2"."""
        ...
