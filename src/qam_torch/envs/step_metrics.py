"""Custom metrics of episodes, computed at every step in the environment's process.

Worker processes import this module, so it must not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from qam_torch.types import QamError

__all__ = ["Step", "StepMetric", "metric_names"]


class Step(NamedTuple):
    """One step of an environment.

    Attributes:
        observation: (O,), observation after the step.
        action: (A,), action of the policy, in [-1, 1].
        reward: reward of the step.
        terminated: whether the step ended the episode.
        truncated: whether the episode was cut, e.g. by the time limit.
        info: further data from the environment.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]


StepMetric = Callable[[float | None, Step], float | None]
"""A function of (value so far, step) that returns the new value.

It is called at every step of an evaluation episode, and the value after the last step is the episode's value. The value
so far is None before the first step. The function returns None if the episode has no value. The metric has the name of
the function. Worker processes import the function, so define it at the top level of a module."""

RESERVED = ("success", "return", "length", "seconds", "seeds", "values")
"""Names of other columns of metrics.csv and keys of summary.json, which a metric must not have."""


def metric_names(metrics: Sequence[StepMetric]) -> tuple[str, ...]:
    """Return the names of metrics.

    Raises:
        QamError: a metric has no name or a reserved one, or two metrics have the same name.
    """
    names: list[str] = []
    for metric in metrics:
        name = getattr(metric, "__name__", "")
        if not name.isidentifier():
            raise QamError(f"evaluation metric {metric!r} has no name: define it as a function with `def`")
        if name in (*RESERVED, *names) or name.endswith(("_by_seed", "_95", "_range")):
            raise QamError(f"an evaluation metric is named '{name}', which is reserved: rename the function")
        names.append(name)
    return tuple(names)
