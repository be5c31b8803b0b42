"""Curves of a run's evaluations: success or return over updates, and over environment steps where it goes online."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qam_torch.experiment.drawing import BLUE, INK, entitle, save_figure, styled
from qam_torch.experiment.progress import FEW, by_seed, count_steps, counted, finite
from qam_torch.rollout.evaluation import wilson_interval
from qam_torch.types import require

__all__ = ["plot_return", "plot_success", "return_figure", "success_figure"]


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
    updates, rates = by_seed(metrics, "evaluation/success")
    if not len(updates):
        return None
    present = np.isfinite(rates)
    solved = np.where(present, np.rint(rates * episodes), 0).sum(1).astype(int)
    band = np.array([wilson_interval(int(s), int(n) * episodes) for s, n in zip(solved, present.sum(1), strict=True)])
    sample = _sample(rates, episodes)

    figure, axes = _curve(metrics, ylabel="success rate", ylim=(0, 1))
    if behavior is not None:
        rate, *ends = (float(x) for x in np.atleast_1d(behavior))
        require("behavior", 0 <= rate <= 1 and len(ends) in (0, 2), behavior, "a rate in [0, 1] or (rate, low, high)")
        label = f"behaviour flow alone ({rate:.2f})"
        axes.axhline(rate, color=INK, linestyle=(0, (5, 3)), linewidth=1.3, label=label, clip_on=False, zorder=2)
        if ends:
            axes.axhspan(*ends, color=INK, alpha=0.08, linewidth=0, zorder=1)
    interval = f"95 % interval ({sample})"
    if len(updates) > 1:
        axes.fill_between(updates, *band.T, color=BLUE, alpha=0.2, linewidth=0, label=interval)
    else:
        axes.vlines(updates, *band.T, color=BLUE, alpha=0.4, linewidth=5, label=interval, clip_on=False)
    _draw_policy(axes, updates, rates)
    return _complete(figure, metrics, title)


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
    updates, returns = by_seed(metrics, "evaluation/return")
    if not len(updates):
        return None
    figure, axes = _curve(metrics, ylabel=f"mean return of {_sample(returns, episodes)}")
    if behavior is not None:
        label = f"behaviour flow alone ({behavior:.1f})"
        axes.axhline(behavior, color=INK, linestyle=(0, (5, 3)), linewidth=1.3, label=label, zorder=2)
    _draw_policy(axes, updates, returns)
    return _complete(figure, metrics, title)


def _curve(metrics: Mapping[str, np.ndarray], **axes: Any) -> tuple[Figure, Axes]:
    """An empty figure of one curve over the run."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    return figure, figure.add_subplot(xlabel=counted(metrics), **axes)


def _complete(figure: Figure, metrics: Mapping[str, np.ndarray], title: str | None) -> Figure:
    """Axis, legend and title, when all is drawn."""
    (axes,) = figure.axes
    count_steps(axes, metrics)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.3, reverse=True)
    entitle(figure, title)
    return figure


def _sample(values: np.ndarray, episodes: int) -> str:
    """What one point of the curve is made of."""
    seeds = values.shape[1]
    return f"{seeds} seeds × {episodes} episodes" if seeds > 1 else f"{episodes} episodes"


def _draw_policy(axes: Axes, updates: np.ndarray, values: np.ndarray) -> None:
    """What evaluations gave (updates, seeds): the mean strong, and several seeds faint."""
    seeds = values.shape[1]
    if seeds > 1:
        for p, member in enumerate(values.T):
            label = "_" if p else "each seed"
            axes.plot(*finite(updates, member), color=BLUE, alpha=0.35, linewidth=0.8, label=label, clip_on=False)
    marker = "o" if len(updates) <= FEW else ""
    mean = np.nanmean(values, axis=1)
    label = "policy, mean over seeds" if seeds > 1 else "policy"
    axes.plot(updates, mean, color=BLUE, linewidth=2, marker=marker, markersize=4, label=label, clip_on=False, zorder=4)
