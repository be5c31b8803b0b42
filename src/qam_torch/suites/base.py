"""The interface of suites, and the data that they give to a run."""

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
    """The transitions of a task on the training device, and their source.

    Attributes:
        transitions: transitions on the device, or shards that are loaded to it in turn; None after they were passed on.
        observation_dim: size of an observation, O.
        action_dim: size of an action, A.
        source: name, path, origin, sha256 and size of the data.
        environment: plain values from which the suite can make the environment. They are stored in checkpoints. The key
            `source` is the value of `env.source`, and `env_name` is the name of the environment.
        layout: map of the maze, for mazes.
        remarks: remarks about the data, one line each, which are printed before training.
    """

    transitions: Transitions | Shards | None
    observation_dim: int
    action_dim: int
    source: dict[str, Any]
    environment: dict[str, Any]
    layout: MazeLayout | None = None
    remarks: tuple[str, ...] = ()

    def fraction(self, share: float) -> TaskData:
        """Keep only the first share in (0, 1] of the episodes or files, and write its size to `source`."""
        source = {**self.source, "fraction": share}
        if isinstance(self.transitions, Shards):
            shards = self.transitions.front(share)
            return self._replace(transitions=shards, source={**source, "files": len(shards.files)})
        assert self.transitions is not None
        transitions = self.transitions.front(share)
        sizes = {"transitions": transitions.num_transitions, "episodes": transitions.num_episodes}
        return self._replace(transitions=transitions, source={**source, **sizes})


class Suite(Protocol):
    """A source of data, together with the environments of the data.

    `env.source` selects a suite: by a short name if it is part of the library, otherwise by the import path of its
    class.
    """

    def check(self, request: Request) -> None:
        """Check the request before training starts.

        Raises:
            QamError: a key is missing, out of range, or belongs to another suite.
        """
        ...

    def load(self, request: Request, device: torch.device, dtype: torch.dtype) -> TaskData:
        """Find, generate or fetch the data, check them against the environment, and put them on the device."""
        ...

    def make(self, environment: Mapping[str, Any], video: bool = False) -> partial:
        """Return a picklable function that makes the environment. Its actions are in [-1, 1].

        Args:
            environment: value of `TaskData.environment`.
            video: whether the environment is rendered.
        """
        ...

    def title(self, environment: Mapping[str, Any]) -> str:
        """Name of the environment and its task, e.g. "cube-triple-play-v0, task 2"."""
        ...
