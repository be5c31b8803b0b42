"""The horizontal axis of a run's curves: its steps, and where the online phase begins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, MaxNLocator

from qam_torch.experiment.drawing import INK
from qam_torch.types import QamError

__all__ = ["FEW", "by_seed", "count_steps", "counted", "finite"]

FEW = 30
"""Values that are few enough to be shown one by one."""


def by_seed(metrics: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """A metric's steps (U,) with finite values and its values (U, seeds), nan where there is none; later rows win."""
    for column in ("update", "seed", name):
        if column not in metrics:
            raise QamError(f"the metrics have no column '{column}', only {', '.join(metrics)}: use a run's metrics.csv")
    kept = np.isfinite(metrics[name])
    seeds, members = np.unique(metrics["seed"], return_inverse=True)
    updates, rows = np.unique(_steps(metrics)[kept], return_inverse=True)
    table = np.full((len(updates), len(seeds)), np.nan)
    table[rows, members[kept]] = metrics[name][kept]
    return updates, table


def finite(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points that exist, so that a line goes on over a row in which this seed has no value."""
    kept = np.isfinite(y)
    return x[kept], y[kept]


def count_steps(axes: Axes, metrics: Mapping[str, np.ndarray]) -> None:
    """From the run's first step to its last, as 5k or 1M; what comes before the online phase is shaded."""
    steps, change = _steps(metrics), _phase_change(metrics)
    first = 0.0 if change is None or np.min(steps) < change else change
    last = max(first + 1.0, float(np.max(steps, initial=0)))
    axes.set_xlim(first, last)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    if change is not None and change > first:
        axes.axvspan(first, change, color=INK, alpha=0.06, linewidth=0, zorder=0)
        axes.axvline(change, color=INK, linewidth=0.8, linestyle=":", zorder=1)


def counted(metrics: Mapping[str, np.ndarray]) -> str:
    """What the horizontal axis counts."""
    change = _phase_change(metrics)
    if change is None:
        return "updates"
    offline = "" if change == 0 or np.min(_steps(metrics)) == change else "updates offline (shaded), then "
    return f"{offline}environment steps online"


def _steps(metrics: Mapping[str, np.ndarray]) -> np.ndarray:
    """Each row's place in the run: its step, or its update where no steps are told."""
    return metrics["step"] if "step" in metrics else metrics["update"]


def _phase_change(metrics: Mapping[str, np.ndarray]) -> float | None:
    """The step at which the online phase began, None if there is none."""
    online = metrics.get("phase", np.zeros(0)) == 1
    if not online.any():
        return None
    return float(np.max(_steps(metrics)[~online], initial=0))
