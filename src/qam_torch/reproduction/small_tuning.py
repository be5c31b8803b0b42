"""Tuning of the small benchmark: the success of each tried value, and the choice of a value."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qam_torch.plotting.step_axis import values_by_member
from qam_torch.reproduction.small_runs import SmallRun
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.system.files import write_text
from qam_torch.system.text_table import aligned

__all__ = ["Tried", "choice_lines", "chosen_value", "tried_values", "write_tuning"]

AVERAGED = 2
"""Number of last evaluations over which the success of a value is averaged."""


class Tried(NamedTuple):
    """A value of a method's main hyperparameter that was tried in an environment.

    The attributes are the columns of tuning.csv.

    Attributes:
        method: name of the method as in algo=NAME.
        environment: name of the environment as in env=NAME.
        key: name of the hyperparameter.
        value: value of the hyperparameter.
        success: mean success rate of the last two evaluations; nan if one of them has no success rate.
        updates: number of gradient updates.
        seconds: wall time of the run, which trains all values together.
    """

    method: str
    environment: str
    key: str
    value: float
    success: float
    updates: int
    seconds: float


def tried_values(runs: Sequence[SmallRun]) -> list[Tried]:
    """Return the values that the finished runs tried, in the order of the runs."""
    found = []
    for run in runs:
        summary = run.summary()
        if summary is None:
            continue
        ((key, values),) = run.values["population"].items()
        _, success = values_by_member(read_metrics(run.paths.metrics), "evaluation/success")
        means = success[-AVERAGED:].mean(0)
        found += [
            Tried(run.method, run.environment, key, value, mean, run.updates, summary["wall_seconds"])
            for value, mean in zip(values, means.tolist(), strict=True)
        ]
    return found


def chosen_value(values: Sequence[float], success: Sequence[float]) -> float:
    """Return the value with the highest success.

    If several values are equally good, the middle one of all values is returned if it is among them, and otherwise the
    first of them.

    Args:
        values: tried values, in order.
        success: success rate of each value; NaN counts as the lowest.
    """
    scores = np.nan_to_num(np.asarray(success, dtype=float), nan=-1.0)
    best = [value for value, score in zip(values, scores, strict=True) if score == scores.max()]
    middle = values[len(values) // 2]
    return middle if middle in best else best[0]


def choice_lines(tried: Sequence[Tried]) -> list[str]:
    """Format one line per method and environment with the value to choose and the success of each value."""
    groups: dict[tuple[str, str, str], list[Tried]] = {}
    for one in tried:
        groups.setdefault((one.environment, one.method, one.key), []).append(one)
    rows = []
    for (environment, method, key), own in groups.items():
        value = chosen_value([one.value for one in own], [one.success for one in own])
        reached = ", ".join(f"{one.value:g}: {one.success:.2f}" for one in own)
        rows.append((environment, method, f"{key}: {value}", f"success by value {reached}"))
    return aligned(rows)


def write_tuning(tried: Sequence[Tried], path: Path) -> None:
    """Write the tried values as CSV, with one row per value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Tried._fields)
    writer.writerows(one._replace(success=round(one.success, 4)) for one in tried)
    write_text(path, text.getvalue())
