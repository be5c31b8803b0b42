"""Plot a run's evaluations over updates, and over environment steps in the online phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from qam_torch.plotting.step_axis import (
    FEW_POINTS,
    finite_points,
    format_step_axis,
    step_axis_label,
    step_of_update,
    values_by_member,
)
from qam_torch.plotting.style import BLUE, INK, colors, set_title, styled
from qam_torch.stats.success import FEWEST_SEEDS, seeds_interval
from qam_torch.types import require

__all__ = ["metrics_figure", "return_figure", "success_figure"]


@styled
def success_figure(
    metrics: Mapping[str, np.ndarray],
    episodes: int,
    behavior: float | tuple[float, float, float] | None = None,
    title: str | None = None,
    cells: Sequence[str] = (),
) -> Figure | None:
    """Plot the success rate over steps: the mean over seeds with its 95% interval, and each of several seeds.

    `stats.success` defines the interval.

    Args:
        metrics: result of `read_metrics`.
        episodes: int >= 1, number of episodes behind each success rate.
        behavior: success rate of the behavior flow alone, in [0, 1], or (rate, low, high).
        title: title of the figure.
        cells: (P,), each member's hyperparameters as text if members differ in them. Each cell then has a separate mean
            and no interval.

    Returns:
        The figure, or None if nothing was evaluated.

    Raises:
        QamError: a column is missing, or a value is out of range.
    """
    require("episodes", episodes >= 1, episodes, "at least 1")
    updates, rates = values_by_member(metrics, "evaluation/success")
    if not len(updates):
        return None
    ends_of = [seeds_interval(row[np.isfinite(row)], episodes) for row in rates]
    band = np.array([(np.nan, np.nan) if ends is None else ends for ends in ends_of])
    sample = _sample(rates, episodes, cells)

    figure, axes = _curve(metrics, ylabel="success rate", ylim=(0, 1))
    if behavior is not None:
        rate, *ends = (float(x) for x in np.atleast_1d(behavior))
        require("behavior", 0 <= rate <= 1 and len(ends) in (0, 2), behavior, "a rate in [0, 1] or (rate, low, high)")
        label = f"behavior flow alone ({rate:.2f})"
        axes.axhline(rate, color=INK, linestyle=(0, (5, 3)), linewidth=1.3, label=label, clip_on=False, zorder=2)
        if ends:
            axes.axhspan(*ends, color=INK, alpha=0.08, linewidth=0, zorder=1)
    source = "episodes" if rates.shape[1] == 1 else "seeds"
    interval = f"95% interval over {source} ({sample})"
    if len(set(cells)) > 1 or 1 < rates.shape[1] < FEWEST_SEEDS:
        pass  # an interval over different cells has no meaning, and there is no valid interval for a few seeds
    elif len(updates) > 1:
        axes.fill_between(updates, *band.T, color=BLUE, alpha=0.2, linewidth=0, label=interval)
    else:
        axes.vlines(updates, *band.T, color=BLUE, alpha=0.4, linewidth=5, label=interval, clip_on=False)
    _draw_policies(axes, metrics, updates, rates, cells)
    return _complete(figure, metrics, title, sample if len(set(cells)) > 1 else None)


@styled
def return_figure(
    metrics: Mapping[str, np.ndarray],
    episodes: int,
    behavior: float | None = None,
    title: str | None = None,
    cells: Sequence[str] = (),
) -> Figure | None:
    """Plot the return over steps, for environments without success: the mean over seeds, and each of several seeds.

    Args:
        metrics: result of `read_metrics`.
        episodes: int >= 1, number of episodes behind each return.
        behavior: return of the behavior flow alone.
        title: title of the figure.
        cells: as for `success_figure`.

    Returns:
        The figure, or None if nothing was evaluated.

    Raises:
        QamError: a column is missing.
    """
    updates, returns = values_by_member(metrics, "evaluation/return")
    if not len(updates):
        return None
    sample = _sample(returns, episodes, cells)
    figure, axes = _curve(metrics, ylabel=f"mean return of {sample}")
    if behavior is not None:
        label = f"behavior flow alone ({behavior:.1f})"
        axes.axhline(behavior, color=INK, linestyle=(0, (5, 3)), linewidth=1.3, label=label, zorder=2)
    _draw_policies(axes, metrics, updates, returns, cells)
    return _complete(figure, metrics, title, sample if len(set(cells)) > 1 else None)


@styled
def metrics_figure(
    metrics: Mapping[str, np.ndarray],
    names: Sequence[str],
    episodes: int,
    title: str | None = None,
    cells: Sequence[str] = (),
) -> Figure | None:
    """Plot any evaluation metrics over steps, one panel each: the mean over seeds, and each of several seeds.

    Args:
        metrics: result of `read_metrics`.
        names: names of the metrics; their columns are evaluation/NAME.
        episodes: int >= 1, number of episodes in each evaluation.
        title: title of the figure.
        cells: as for `success_figure`.

    Returns:
        The figure, or None if no metric has a value.

    Raises:
        QamError: a column is missing.
    """
    curves = {name: values_by_member(metrics, f"evaluation/{name}") for name in names}
    curves = {name: curve for name, curve in curves.items() if len(curve[0])}
    if not curves:
        return None
    figure = Figure(figsize=(7, 0.6 + 3.2 * len(curves)), layout="constrained")
    for row, (name, (updates, values)) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(len(curves), 1, row, xlabel=step_axis_label(metrics))
        axes.set_ylabel(f"{name}, mean of {_sample(values, episodes, cells)}")
        _draw_policies(axes, metrics, updates, values, cells)
        format_step_axis(axes, metrics)
    figure.axes[0].legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.3, reverse=True)
    set_title(figure, title)
    return figure


def _curve(metrics: Mapping[str, np.ndarray], **axes: Any) -> tuple[Figure, Axes]:
    """Create an empty figure with one pair of axes."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    return figure, figure.add_subplot(xlabel=step_axis_label(metrics), **axes)


def _complete(figure: Figure, metrics: Mapping[str, np.ndarray], title: str | None, grid: str | None) -> Figure:
    """Add the step axis, the legend and the title. `grid` is the legend's title for a grid of cells, or None."""
    (axes,) = figure.axes
    format_step_axis(axes, metrics)
    if grid is None:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.3, reverse=True)
    else:  # the long names of cells only fit beside the axes
        figure.set_figwidth(9)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), title=grid, alignment="left")
    set_title(figure, title)
    return figure


def _sample(values: np.ndarray, episodes: int, cells: Sequence[str]) -> str:
    """The sample size behind one point of the curve, as text."""
    seeds = values.shape[1] // max(1, len(set(cells)))
    return f"{seeds} seeds × {episodes} episodes" if seeds > 1 else f"{episodes} episodes"


def _draw_policies(
    axes: Axes, metrics: Mapping[str, np.ndarray], updates: np.ndarray, values: np.ndarray, cells: Sequence[str]
) -> None:
    """Draw the mean of each cell as a strong line, and each of several seeds as a faint line.

    `values` has shape (updates, members).
    """
    groups: dict[str, list[int]] = {}
    for p in range(values.shape[1]):
        groups.setdefault(cells[p].replace(",", ", ") if len(set(cells)) > 1 else "policy", []).append(p)
    for (name, own), color in zip(groups.items(), colors(len(groups)), strict=True):
        _draw_policy(axes, updates, values[:, own], color, name)
    if "diverged" in metrics:
        drawn = {p: color for own, color in zip(groups.values(), colors(len(groups)), strict=True) for p in own}
        _draw_divergences(axes, metrics, updates, values, drawn)


def _draw_divergences(
    axes: Axes, metrics: Mapping[str, np.ndarray], updates: np.ndarray, values: np.ndarray, drawn: Mapping[int, Any]
) -> None:
    """Draw a cross on the curve of each diverged member that has a curve, at the update at which it diverged."""
    style: dict[str, Any] = {"s": 70, "marker": "x", "linewidth": 2.2, "zorder": 5, "clip_on": False}
    axes.scatter([], [], color=INK, label="diverged", **style)
    for p, update in enumerate(np.fmax.reduce(values_by_member(metrics, "diverged")[1])):
        x, y = finite_points(updates, values[:, p])
        if np.isfinite(update) and len(x):
            step = step_of_update(metrics, update)
            axes.scatter([step], [np.interp(step, x, y)], color=drawn[p], **style)


def _draw_policy(axes: Axes, updates: np.ndarray, values: np.ndarray, color: Any, name: str) -> None:
    """Draw the mean as a strong line, and each of several seeds as a faint line."""
    seeds = values.shape[1]
    if seeds > 1:
        for p, member in enumerate(values.T):
            label = "_" if p or name != "policy" else "each seed"
            axes.plot(
                *finite_points(updates, member), color=color, alpha=0.35, linewidth=0.8, label=label, clip_on=False
            )
    marker = "o" if len(updates) <= FEW_POINTS else ""
    mean = np.nanmean(values, axis=1)
    label = f"{name}, mean over {seeds} seeds" if seeds > 1 and name == "policy" else name
    axes.plot(
        updates, mean, color=color, linewidth=2, marker=marker, markersize=4, label=label, clip_on=False, zorder=4
    )
