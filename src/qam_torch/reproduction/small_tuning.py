"""The tuning of the small benchmark: what each value has reached, and which one is chosen."""

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
"""The success of a value is the mean of so many last evaluations."""


class Tried(NamedTuple):
    """One value of a method's main hyperparameter, tried in an environment; the columns of tuning.csv.

    Attributes:
        method: algo=NAME.
        environment: env=NAME.
        key: name of the hyperparameter.
        value: the value.
        success: mean of the last two evaluations; nan without any.
        updates: gradient updates.
        seconds: wall time of the run, which is that of all its values together.
    """

    method: str
    environment: str
    key: str
    value: float
    success: float
    updates: int
    seconds: float


def tried_values(runs: Sequence[SmallRun]) -> list[Tried]:
    """The values that the finished runs have tried, in order."""
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
    """The value with the highest success; of equal ones the middle of all values, or else the first.

    Args:
        values: tried values, in order.
        success: success of each value; NaN counts as the lowest.
    """
    scores = np.nan_to_num(np.asarray(success, dtype=float), nan=-1.0)
    best = [value for value, score in zip(values, scores, strict=True) if score == scores.max()]
    middle = values[len(values) // 2]
    return middle if middle in best else best[0]


def choice_lines(tried: Sequence[Tried]) -> list[str]:
    """For each method and environment the value to choose, beside what each value has reached."""
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
    """Write the values that were tried as CSV, one row each."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Tried._fields)
    writer.writerows(one._replace(success=round(one.success, 4)) for one in tried)
    write_text(path, text.getvalue())
