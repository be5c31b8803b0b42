"""The horizontal axis of a run's curves: the run's steps, and the start of the online phase."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from qam_torch.plotting.style import INK
from qam_torch.rundir.metrics_file import is_training_metric
from qam_torch.types import QamError

__all__ = [
    "FEW_POINTS",
    "values_by_member",
    "format_step_axis",
    "step_axis_label",
    "finite_points",
    "step_of_update",
    "training_metrics",
]

FEW_POINTS = 30
"""Evaluation curves with at most this many values mark each value. Shorter training curves are not smoothed."""


def values_by_member(metrics: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Arrange a metric by step and member.

    A member is identified by its index, or by its seed if the file has no column with the index.

    Args:
        metrics: result of `read_metrics`.
        name: column of the metric.

    Returns:
        Steps (U,) at which any member has a finite value, and values (U, P), nan if a member has no value. If several
        rows have the same step and member, the last one is used.

    Raises:
        QamError: a column is missing.
    """
    for column in ("update", "seed", name):
        if column not in metrics:
            raise QamError(f"the metrics have no column '{column}', only {', '.join(metrics)}: use a run's metrics.csv")
    kept = np.isfinite(metrics[name])
    seeds, members = np.unique(metrics.get("member", metrics["seed"]), return_inverse=True)
    updates, rows = np.unique(_steps(metrics)[kept], return_inverse=True)
    table = np.full((len(updates), len(seeds)), np.nan)
    table[rows, members[kept]] = metrics[name][kept]
    return updates, table


def finite_points(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Select the points with finite y, so that a line has no gap at rows without a value."""
    kept = np.isfinite(y)
    return x[kept], y[kept]


def training_metrics(metrics: Mapping[str, np.ndarray]) -> list[str]:
    """Return the names of the metrics of updates and of collected episodes, in the order of the columns."""
    return [name for name in metrics if is_training_metric(name)]


def format_step_axis(axes: Axes, metrics: Mapping[str, np.ndarray]) -> None:
    """Set limits from 0 to the last step and ticks like 5k. Shade the offline phase if an online phase follows it."""
    steps, change = _steps(metrics), _phase_change(metrics)
    axes.set_xlim(0, max(1.0, float(np.max(steps, initial=0))))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if change:
        axes.axvspan(0, change, color=INK, alpha=0.06, linewidth=0, zorder=0)
        axes.axvline(change, color=INK, linewidth=0.8, linestyle=":", zorder=1)


def step_axis_label(metrics: Mapping[str, np.ndarray]) -> str:
    """Return the label of the horizontal axis, which says what the axis counts."""
    change = _phase_change(metrics)
    if change is None:
        return "updates"
    offline = "updates offline (shaded), then " if change else ""
    return f"{offline}environment steps online"


def step_of_update(metrics: Mapping[str, np.ndarray], update: float) -> float:
    """Return the step at which an update was made, interpolated between rows."""
    order = np.argsort(_steps(metrics), kind="stable")
    updates = np.concatenate([[0.0], metrics["update"][order]])
    steps = np.concatenate([[0.0], _steps(metrics)[order]])
    return float(np.interp(np.nextafter(update, 0), updates, steps))  # the first of several rows with equal updates


def _steps(metrics: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return each row's step, or its update if the file has no steps.

    An online run that starts from another run's checkpoint has no training metrics before its online phase, only an
    evaluation of the policy. The other run's updates are then subtracted.
    """
    if "step" not in metrics:
        return metrics["update"]
    steps, offline = metrics["step"], _offline(metrics)
    trained = any(np.isfinite(metrics[name][offline]).any() for name in training_metrics(metrics))
    return steps if trained or offline.all() else steps - np.max(steps[offline], initial=0)


def _phase_change(metrics: Mapping[str, np.ndarray]) -> float | None:
    """Return the step at which the online phase began, or None if there is no online phase."""
    offline = _offline(metrics)
    return None if offline.all() else float(np.max(_steps(metrics)[offline], initial=0))


def _offline(metrics: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return whether each row belongs to the offline phase."""
    return metrics.get("phase", np.zeros(len(metrics["update"]))) != 1
