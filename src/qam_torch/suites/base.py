"""What every suite offers, and what it gives to a run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch

from qam_torch.data.shards import Shards
from qam_torch.data.transitions import Transitions
from qam_torch.types import MazeLayout

__all__ = ["Request", "Suite", "TaskData"]


class Request(NamedTuple):
    """The part of a configuration that a suite receives, as plain values.

    Attributes:
        env: the keys `env.*`.
        data: the keys `data.*`.
        task: the key `task`; None for suites without numbered tasks.
    """

    env: Mapping[str, Any]
    data: Mapping[str, Any]
    task: Any = None


class TaskData(NamedTuple):
    """The transitions of a task on the training device, and where they come from.

    Attributes:
        transitions: on the device, or the files that are rotated there; None once they are handed over.
        observation_dim: O.
        action_dim: A.
        source: name, path, origin and sha256 of the data, and how much data there is.
        environment: plain values from which the suite makes the environment again; stored in checkpoints. The key
            `source` is the value of `env.source`, `env_name` what the environment is called.
        layout: the map, for mazes.
        remarks: what a user should know of the data and did not ask for, one line each; printed before training.
    """

    transitions: Transitions | Shards | None
    observation_dim: int
    action_dim: int
    source: dict[str, Any]
    environment: dict[str, Any]
    layout: MazeLayout | None = None
    remarks: tuple[str, ...] = ()

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
    """A source of data together with the environments that the data belong to.

    `env.source` names it: by a short name for the library's own, by the path of its class for others.
    """

    def check(self, request: Request) -> None:
        """Check the request before anything is computed.

        Raises:
            QamError: a key is missing, out of range, or belongs to another suite.
        """
        ...

    def load(self, request: Request, device: torch.device, dtype: torch.dtype) -> TaskData:
        """Find, generate or fetch the data, check them against the environment, and put them on the device."""
        ...

    def make(self, environment: Mapping[str, Any], video: bool = False) -> partial:
        """A picklable function that makes the environment; it takes actions in [-1, 1].

        Args:
            environment: as in `TaskData.environment`.
            video: whether the environment is rendered.
        """
        ...

    def title(self, environment: Mapping[str, Any]) -> str:
        """Name of the environment and its task, e.g. "cube-triple-play-v0, task 2"."""
        ...
