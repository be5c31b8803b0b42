"""Plot a run's training metrics as small multiples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from qam_torch.plotting.metric_panels import Panel, group_metrics
from qam_torch.plotting.step_axis import (
    FEW_POINTS,
    finite_points,
    format_step_axis,
    step_axis_label,
    training_metrics,
    values_by_member,
)
from qam_torch.plotting.style import BLUE, GREEN, ORANGE, VERMILION, set_title, styled

__all__ = ["losses_figure"]

_WIDEST_WINDOW = 101  # largest number of logged values in the window of a running median


# The second line is dashed, so that it does not hide the first if both nearly coincide.
_LOOKS = ((BLUE, "-"), (VERMILION, (0, (3, 1))), (GREEN, "-"), (ORANGE, "-"))
_Curve = tuple[np.ndarray, np.ndarray]  # steps (U,), values (U, seeds)
_NOT_DRAWN = ("collection/episodes",)  # mostly 0 or 1


@styled
def losses_figure(metrics: Mapping[str, np.ndarray], title: str | None = None) -> Figure | None:
    """Plot training metrics as small multiples: logged values as faint lines, their running median as a strong line.

    A metric without any finite value is left out. With several seeds, each seed is a faint line, and the strong line is
    the running median of the median over seeds.

    Args:
        metrics: result of `read_metrics`. `group_metrics` decides which metrics share a panel.
        title: title of the figure.

    Returns:
        The figure, or None if no training metric was logged.

    Raises:
        QamError: the column update or seed is missing.
    """
    drawn = [name for name in training_metrics(metrics) if name not in _NOT_DRAWN]
    curves = {name: values_by_member(metrics, name) for name in drawn}
    curves = {name: curve for name, curve in curves.items() if len(curve[0])}
    panels = group_metrics(list(curves))
    if not panels:
        return None
    columns = min(len(panels), 3 if len(panels) in (5, 6, 9) else 4)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(3.3 * columns, 2.3 * rows + 0.5), layout="constrained")
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1, title=panel.title)
        _draw_panel(axes, panel, curves)
        format_step_axis(axes, metrics)
    note = ""
    if len(np.unique(metrics.get("member", metrics["seed"]))) > 1:
        every = "member" if "member" in metrics else "seed"
        note = f"   (faint: each {every}; strong: running median over {every}s)"
    elif max(len(updates) for updates, _ in curves.values()) >= FEW_POINTS:
        note = "   (faint: every logged value; strong: running median)"
    figure.supxlabel(f"{step_axis_label(metrics)}{note}", fontsize=9)
    set_title(figure, title)
    return figure


def _draw_panel(axes: Axes, panel: Panel, curves: Mapping[str, _Curve]) -> None:
    """Draw the panel's metrics, on a logarithmic axis if the panel is logarithmic and no value is negative."""
    shown = {name: curves[name] for name in panel.lines}
    every = np.concatenate([values.ravel() for _, values in shown.values()])
    log = panel.log and not (every < 0).any() and (every > 0).any()
    if panel.band is not None:
        _draw_band(axes, *(curves[name] for name in panel.band))
    for (name, label), look in zip(panel.lines.items(), cycle(_LOOKS), strict=False):
        updates, values = shown[name]
        if log:
            values = np.where(values > 0, values, np.nan)
            kept = np.isfinite(values).any(1)
            updates, values = updates[kept], values[kept]
        _draw_curve(axes, updates, values, label, *look)
    if log:
        _log_axis(axes, every[every > 0])
    if len(panel.lines) > 1 or panel.band is not None:
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.02, 1), "borderaxespad": 0.1}
        axes.legend(**place, ncols=4, fontsize=8, handlelength=0.9, handletextpad=0.4, columnspacing=0.8)


def _draw_curve(axes: Axes, updates: np.ndarray, values: np.ndarray, label: str, color: str, style: Any) -> None:
    """Draw the running median of values (updates, seeds) as a strong line, and each seed as a faint line.

    A single point has a marker, because a line through one point is invisible.
    """
    center = np.nanmedian(values, axis=1)
    smooth = _running_median(center)
    if values.shape[1] > 1 or smooth is not center:
        for member in values.T:
            axes.plot(*finite_points(updates, member), color=color, alpha=0.25, linewidth=0.7)
    single: dict[str, Any] = {"marker": "o", "markersize": 4, "clip_on": False} if len(updates) == 1 else {}
    axes.plot(updates, smooth, color=color, linestyle=style, linewidth=1.6, label=label, **single)


def _draw_band(axes: Axes, least: _Curve, most: _Curve) -> None:
    """Fill the band between two running medians: of the smallest and of the largest values, as medians over seeds."""
    updates, *rows = np.intersect1d(least[0], most[0], return_indices=True)
    both = zip((least[1], most[1]), rows, strict=True)
    low, high = (_running_median(np.nanmedian(values[kept], axis=1)) for values, kept in both)
    look: dict[str, Any] = {"color": BLUE, "label": "min to max"}
    if len(updates) == 1:
        axes.vlines(updates, low, high, alpha=0.4, linewidth=5, clip_on=False, **look)
    else:
        axes.fill_between(updates, low, high, alpha=0.2, linewidth=0, **look)


def _running_median(values: np.ndarray) -> np.ndarray:
    """Return the median over a centered window of about 1/20 of the values, at most 101 of them.

    The window is shorter at both ends. Fewer than FEW_POINTS values are returned unchanged.
    """
    half = max(1, min(len(values) // 20, _WIDEST_WINDOW) // 2)
    if len(values) < FEW_POINTS:
        return values
    padded = np.pad(values, half, constant_values=np.nan)
    return np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)


def _log_axis(axes: Axes, values: np.ndarray) -> None:
    """Make the y axis logarithmic, with plain numbers at its ticks even if the values span less than a decade."""
    axes.set_yscale("log")
    decades = math.log10(np.nanmax(values) / np.nanmin(values))
    narrow = MaxNLocator(4) if decades < 0.7 else LogLocator(subs=(1, 2, 5) if decades < 1.5 else (1, 3))
    axes.yaxis.set_major_locator(narrow if decades < 2.5 else LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.4g}"))
