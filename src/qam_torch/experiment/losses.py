"""Training metrics of a run as small multiples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from qam_torch.experiment.drawing import BLUE, GREEN, VERMILION, entitle, save_figure, styled
from qam_torch.experiment.progress import FEW, by_seed, count_steps, counted, finite
from qam_torch.experiment.records import EVALUATION_COLUMNS

__all__ = ["losses_figure", "plot_losses"]

_WIDEST_WINDOW = 101  # logged values that a running median spans at most


class _Panel(NamedTuple):
    """One panel of the losses: its title, metric -> label, and whether its y axis is logarithmic."""

    title: str
    metrics: dict[str, str]
    log: bool = False


_TERMINAL = {"adjoint/terminal_mean": "mean", "adjoint/terminal_std": "std", "adjoint/terminal_max": "max"}
_PANELS = (
    _Panel("critic loss", {"critic/loss": ""}, log=True),
    _Panel("Q values", {"critic/q_mean": "mean", "critic/q_min": "min", "critic/q_max": "max"}),
    _Panel("behaviour-flow loss", {"behavior/loss": ""}),
    _Panel("adjoint-matching loss", {"adjoint/loss": ""}, log=True),
    _Panel("|terminal adjoint|", _TERMINAL, log=True),
    _Panel("gradient norm", {"gradient/norm": ""}, log=True),
    _Panel("one-step distillation loss", {"one_step/distillation_loss": ""}, log=True),
    _Panel("one-step Q loss", {"one_step/q_loss": ""}),
    _Panel("edit Q loss", {"edit/q_loss": ""}),
    _Panel("edit entropy (nats)", {"edit/entropy": ""}),
    _Panel("edit temperature", {"edit/alpha": ""}, log=True),
    _Panel("edit losses", {"edit/entropy_loss": "entropy", "edit/alpha_loss": "temperature"}),
    _Panel("return of episodes collected", {"collection/return": ""}),
    _Panel("length of episodes collected", {"collection/length": ""}),
    _Panel("success of episodes collected", {"collection/success": ""}),
)
_NOT_DRAWN = ("collection/episodes",)  # mostly 0 or 1


def plot_losses(metrics: Mapping[str, np.ndarray], path: str | Path, title: str | None = None) -> bool:
    """Save `losses_figure` as a PNG, whole or not at all; False, and nothing written, if no value was logged."""
    return save_figure(losses_figure(metrics, title), path)


@styled
def losses_figure(metrics: Mapping[str, np.ndarray], title: str | None = None) -> Figure | None:
    """Training metrics as small multiples: every logged value faint, their running median strong.

    metrics  from `read_metrics`; metrics that are unknown here get panels of their own
    title    above the figure
    ->       Figure, None if no training metric was logged yet

    Several seeds are faint lines each, and the strong line is the running median of their median.
    Raises QamError if the columns update and seed are missing.
    """
    training = [name for name in metrics if "/" in name and name not in _NOT_DRAWN and name not in EVALUATION_COLUMNS]
    known = {name for panel in _PANELS for name in panel.metrics}
    panels = [panel for panel in _PANELS if not panel.metrics.keys().isdisjoint(training)]
    panels += [_Panel(name, {name: ""}) for name in training if name not in known]
    curves = {name: by_seed(metrics, name) for name in training}
    if not any(len(updates) for updates, _ in curves.values()):
        return None
    columns = min(len(panels), 3 if len(panels) in (5, 6, 9) else 4)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(3.3 * columns, 2.3 * rows + 0.5), layout="constrained")
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1, title=panel.title)
        _draw_panel(axes, panel, curves)
        count_steps(axes, metrics)
    note = ""
    if len(np.unique(metrics["seed"])) > 1:
        note = "   (faint: each seed; strong: running median over seeds)"
    elif max(len(updates) for updates, _ in curves.values()) >= FEW:
        note = "   (faint: every logged value; strong: running median)"
    figure.supxlabel(f"{counted(metrics)}{note}", fontsize=9)
    entitle(figure, title)
    return figure


def _draw_panel(axes: Axes, panel: _Panel, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Draw the panel's metrics, those of them that were logged."""
    drawn = []
    for (name, label), color in zip(panel.metrics.items(), (BLUE, VERMILION, GREEN), strict=False):
        updates, values = curves.get(name, (np.empty(0), np.empty((0, 1))))
        values = np.where(values > 0, values, np.nan) if panel.log else values
        kept = np.isfinite(values).any(1)
        updates, values = updates[kept], values[kept]
        if not len(updates):
            continue
        drawn.append(values)
        centre = np.nanmedian(values, axis=1)
        smooth = _running_median(centre)
        if values.shape[1] > 1 or smooth is not centre:
            for member in values.T:
                axes.plot(*finite(updates, member), color=color, alpha=0.25, linewidth=0.7)
        line: dict[str, Any] = {"color": color, "linewidth": 1.6, "label": label or "_"}
        if len(updates) == 1:  # a line of one point would not be seen
            line |= {"marker": "o", "markersize": 4, "clip_on": False}
        axes.plot(updates, smooth, **line)
    if not drawn:
        text = "no positive values" if panel.log else "no finite values"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="#888888")
        axes.set_yticks([])
        return
    if panel.log:
        _log_axis(axes, np.concatenate([values.ravel() for values in drawn]))
    if any(panel.metrics.values()):
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.02, 1), "borderaxespad": 0.1}
        axes.legend(**place, ncols=3, fontsize=8, handlelength=0.9, handletextpad=0.4, columnspacing=0.8)


def _running_median(values: np.ndarray) -> np.ndarray:
    """Median over a centred window of a twentieth of the values, cut at the ends; a few values stay as they are."""
    half = max(1, min(len(values) // 20, _WIDEST_WINDOW) // 2)
    if len(values) < FEW:
        return values
    padded = np.pad(values, half, constant_values=np.nan)
    return np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=1)


def _log_axis(axes: Axes, values: np.ndarray) -> None:
    """A logarithmic y axis with plain numbers at its ticks, also where the values span less than a decade."""
    axes.set_yscale("log")
    decades = math.log10(np.nanmax(values) / np.nanmin(values))
    narrow = MaxNLocator(4) if decades < 0.7 else LogLocator(subs=(1, 2, 5))
    axes.yaxis.set_major_locator(narrow if decades < 1.5 else LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.4g}"))
