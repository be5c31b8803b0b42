"""Custom metrics of episodes, computed step by step beside the environment. Worker processes import this: no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from qam_torch.types import QamError

__all__ = ["Step", "StepMetric", "metric_names"]


class Step(NamedTuple):
    """One step of an environment.

    Attributes:
        observation: (O,), after the step.
        action: (A,), in the box in which policies act.
        reward: reward of the step.
        terminated: whether the step ended the episode.
        truncated: whether the time limit ended the episode.
        info: what the environment reports besides.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: float
    terminated: bool
    truncated: bool
    info: Mapping[str, Any]


StepMetric = Callable[[float | None, Step], float | None]
"""(value so far, step) -> value; None before the first step, and where the episode has no value.

It is called at every step of an evaluation episode; the value after the last step is the episode's. The metric has the
name of the function. Workers import the function, so it belongs at the top level of a module."""

RESERVED = ("success", "return", "length", "seconds", "seeds", "values")
"""Other columns of metrics.csv and keys of summary.json beside which metrics are."""


def metric_names(metrics: Sequence[StepMetric]) -> tuple[str, ...]:
    """The names of metrics.

    Raises:
        QamError: a metric has no name, or two have the same.
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
