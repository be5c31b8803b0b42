"""Curves of a run: success or return over updates and environment steps, and losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from qam_torch.experiment.drawing import BLUE, GREEN, INK, VERMILION, entitle, save_figure, styled
from qam_torch.rollout.evaluation import wilson_interval
from qam_torch.types import QamError, require

__all__ = [
    "losses_figure",
    "plot_losses",
    "plot_return",
    "plot_success",
    "return_figure",
    "success_figure",
]

_FEW, _WIDEST_WINDOW = 30, 101  # logged values: so few are shown as they are; a running median spans no more


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
    _Panel("episodes collected", {"collection/episodes": ""}),
)


def plot_success(
    metrics: Mapping[str, np.ndarray],
    episodes: int,
    path: str | Path,
    behavior: float | tuple[float, float, float] | None = None,
    title: str | None = None,
) -> bool:
    """Save `success_figure` as a PNG, whole or not at all; False, and nothing written, without any evaluation."""
    return save_figure(success_figure(metrics, episodes, behavior, title), path)


def plot_return(
    metrics: Mapping[str, np.ndarray],
    episodes: int,
    path: str | Path,
    behavior: float | None = None,
    title: str | None = None,
) -> bool:
    """Save `return_figure` as a PNG, whole or not at all; False, and nothing written, without any evaluation."""
    return save_figure(return_figure(metrics, episodes, behavior, title), path)


def plot_losses(metrics: Mapping[str, np.ndarray], path: str | Path, title: str | None = None) -> bool:
    """Save `losses_figure` as a PNG, whole or not at all; False, and nothing written, if no value was logged."""
    return save_figure(losses_figure(metrics, title), path)


@styled
def success_figure(
    metrics: Mapping[str, np.ndarray],
    episodes: int,
    behavior: float | tuple[float, float, float] | None = None,
    title: str | None = None,
) -> Figure | None:
    """Success rate over updates: mean over seeds, pooled 95 % Wilson interval, each seed if there are several.

    metrics   from `read_metrics`
    episodes  int >= 1 behind each success rate
    behavior  success rate of the behaviour flow alone, in [0, 1], or (rate, low, high)
    title     above the figure
    ->        Figure, None if nothing was evaluated yet

    Raises QamError for a missing column or values out of range.
    """
    require("episodes", episodes >= 1, episodes, "at least 1")
    updates, rates = _by_seed(metrics, "evaluation/success")
    if not len(updates):
        return None
    present = np.isfinite(rates)
    solved = np.where(present, np.rint(rates * episodes), 0).sum(1).astype(int)
    band = np.array([wilson_interval(int(s), int(n) * episodes) for s, n in zip(solved, present.sum(1), strict=True)])
    seeds = rates.shape[1]

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel=_counted(metrics), ylabel="success rate", ylim=(0, 1))
    if behavior is not None:
        rate, *ends = (float(x) for x in np.atleast_1d(behavior))
        require("behavior", 0 <= rate <= 1 and len(ends) in (0, 2), behavior, "a rate in [0, 1] or (rate, low, high)")
        label = f"behaviour flow alone ({rate:.2f})"
        axes.axhline(rate, color=INK, linestyle=(0, (5, 3)), linewidth=1.3, label=label, clip_on=False, zorder=2)
        if ends:
            axes.axhspan(*ends, color=INK, alpha=0.08, linewidth=0, zorder=1)
    sample = f"{seeds} seeds × {episodes} episodes" if seeds > 1 else f"{episodes} episodes"
    interval = f"95 % interval ({sample})"
    if len(updates) > 1:
        axes.fill_between(updates, *band.T, color=BLUE, alpha=0.2, linewidth=0, label=interval)
    else:
        axes.vlines(updates, *band.T, color=BLUE, alpha=0.4, linewidth=5, label=interval, clip_on=False)
    _draw_policy(axes, updates, rates)
    _count_updates(axes, metrics)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.3, reverse=True)
    entitle(figure, title)
    return figure


@styled
def return_figure(
    metrics: Mapping[str, np.ndarray], episodes: int, behavior: float | None = None, title: str | None = None
) -> Figure | None:
    """Return over updates, for environments that know no success: mean over seeds, and each seed if there are several.

    metrics   from `read_metrics`
    episodes  int >= 1 behind each seed's return
    behavior  return of the behaviour flow alone
    title     above the figure
    ->        Figure, None if nothing was evaluated yet

    Raises QamError for a missing column.
    """
    updates, returns = _by_seed(metrics, "evaluation/return")
    if not len(updates):
        return None
    seeds = returns.shape[1]
    sample = f"{seeds} seeds × {episodes} episodes" if seeds > 1 else f"{episodes} episodes"
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel=_counted(metrics), ylabel=f"mean return of {sample}")
    if behavior is not None:
        label = f"behaviour flow alone ({behavior:.1f})"
        axes.axhline(behavior, color=INK, linestyle=(0, (5, 3)), linewidth=1.3, label=label, zorder=2)
    _draw_policy(axes, updates, returns)
    _count_updates(axes, metrics)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.3, reverse=True)
    entitle(figure, title)
    return figure


@styled
def losses_figure(metrics: Mapping[str, np.ndarray], title: str | None = None) -> Figure | None:
    """Training metrics as small multiples: every logged value faint, their running median strong.

    metrics  from `read_metrics`; metrics that are unknown here get panels of their own
    title    above the figure
    ->       Figure, None if no training metric was logged yet

    Several seeds are faint lines each, and the strong line is the running median of their median.
    Raises QamError if the columns update and seed are missing.
    """
    training = [name for name in metrics if "/" in name and not name.startswith("evaluation/")]
    known = {name for panel in _PANELS for name in panel.metrics}
    panels = [panel for panel in _PANELS if not panel.metrics.keys().isdisjoint(training)]
    panels += [_Panel(name, {name: ""}) for name in training if name not in known]
    curves = {name: _by_seed(metrics, name) for name in training}
    if not any(len(updates) for updates, _ in curves.values()):
        return None
    columns = min(len(panels), 3 if len(panels) in (5, 6, 9) else 4)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(3.3 * columns, 2.3 * rows + 0.5), layout="constrained")
    for i, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, i + 1, title=panel.title)
        _draw_panel(axes, panel, curves)
        _count_updates(axes, metrics)
    note = ""
    if len(np.unique(metrics["seed"])) > 1:
        note = "   (faint: each seed; strong: running median over seeds)"
    elif max(len(updates) for updates, _ in curves.values()) >= _FEW:
        note = "   (faint: every logged value; strong: running median)"
    figure.supxlabel(f"{_counted(metrics)}{note}", fontsize=9)
    entitle(figure, title)
    return figure


def _draw_policy(axes: Axes, updates: np.ndarray, values: np.ndarray) -> None:
    """What evaluations gave (updates, seeds): the mean strong, and several seeds faint."""
    seeds = values.shape[1]
    if seeds > 1:
        for p, member in enumerate(values.T):
            label = "_" if p else "each seed"
            axes.plot(*_finite(updates, member), color=BLUE, alpha=0.35, linewidth=0.8, label=label, clip_on=False)
    marker = "o" if len(updates) <= _FEW else ""
    mean = np.nanmean(values, axis=1)
    label = "policy, mean over seeds" if seeds > 1 else "policy"
    axes.plot(updates, mean, color=BLUE, linewidth=2, marker=marker, markersize=4, label=label, clip_on=False, zorder=4)


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
                axes.plot(*_finite(updates, member), color=color, alpha=0.25, linewidth=0.7)
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


def _steps(metrics: Mapping[str, np.ndarray]) -> np.ndarray:
    """Each row's place in the run: its step, or its update where no steps are told."""
    return metrics["step"] if "step" in metrics else metrics["update"]


def _phase_change(metrics: Mapping[str, np.ndarray]) -> float | None:
    """The step at which the online phase began, None if there is none."""
    online = metrics.get("phase", np.zeros(0)) == 1
    if not online.any():
        return None
    return float(np.max(_steps(metrics)[~online], initial=0))


def _by_seed(metrics: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
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


def _finite(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points that exist, so that a line goes on over a row in which this seed has no value."""
    kept = np.isfinite(y)
    return x[kept], y[kept]


def _running_median(values: np.ndarray) -> np.ndarray:
    """Median over a centred window of a twentieth of the values, cut at the ends; a few values stay as they are."""
    half = max(1, min(len(values) // 20, _WIDEST_WINDOW) // 2)
    if len(values) < _FEW:
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


def _count_updates(axes: Axes, metrics: Mapping[str, np.ndarray]) -> None:
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


def _counted(metrics: Mapping[str, np.ndarray]) -> str:
    """What the horizontal axis counts."""
    change = _phase_change(metrics)
    if change is None:
        return "updates"
    offline = "" if change == 0 or np.min(_steps(metrics)) == change else "updates offline (shaded), then "
    return f"{offline}environment steps online"
