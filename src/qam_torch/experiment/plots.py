"""Pictures of a run: success over updates, losses, and a maze with the paths taken in it.

Figures are made without pyplot, so neither the backend nor any global state of matplotlib is touched.
"""

from __future__ import annotations

import contextlib
import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from qam_torch.rollout.evaluation import wilson_interval
from qam_torch.types import QamError, require

if TYPE_CHECKING:
    from qam_torch.rollout.maze import MazeLayout

__all__ = [
    "losses_figure",
    "plot_losses",
    "plot_success",
    "plot_trajectories",
    "read_metrics",
    "success_figure",
    "trajectories_figure",
]

DPI = 130
# Okabe and Ito's colours, which people with any colour vision can tell apart.
BLUE, ORANGE, GREEN, VERMILION, INK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#333333"
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.titlesize": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "xtick.color": "#666666",
    "ytick.color": "#666666",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_styled = matplotlib.rc_context(_STYLE)  # as a decorator: the style holds inside the function only

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
)


def read_metrics(path: str | Path) -> dict[str, np.ndarray]:
    """Read a run's metrics.csv.

    path  the file; a last line that is still being written is left out
    ->    column -> (rows,) float64, nan where the file is blank

    Raises QamError if the file cannot be read, has no header, or has a cell that is no number.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        header, *rows = list(csv.reader(text.splitlines())) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise QamError(f"'{path}' cannot be read ({reason}): expected the metrics.csv of a run") from None
    if not {"update", "seed"} <= set(header):
        raise QamError(f"'{path}' has no header with the columns update and seed: expected the metrics.csv of a run")
    if rows and len(rows[-1]) < len(header) and not text.endswith("\n"):
        del rows[-1]
    table = np.full((len(rows), len(header)), np.nan)
    for i, row in enumerate(rows):
        try:
            table[i] = [float(cell) if cell else math.nan for cell in row]
        except ValueError:
            raise QamError(
                f"line {i + 2} of '{path}' is damaged: expected {len(header)} numbers or blanks, remove the line"
            ) from None
    return dict(zip(header, table.T.copy(), strict=True))


def plot_success(
    metrics: Mapping[str, np.ndarray],
    episodes: int,
    path: str | Path,
    behavior: float | tuple[float, float, float] | None = None,
    title: str | None = None,
) -> bool:
    """Save `success_figure` as a PNG, whole or not at all; False, and nothing written, without any evaluation."""
    return _save(success_figure(metrics, episodes, behavior, title), path)


def plot_losses(metrics: Mapping[str, np.ndarray], path: str | Path, title: str | None = None) -> bool:
    """Save `losses_figure` as a PNG, whole or not at all; False, and nothing written, if no value was logged."""
    return _save(losses_figure(metrics, title), path)


def plot_trajectories(
    layout: MazeLayout,
    trajectories: Sequence[np.ndarray],
    success: Sequence[bool] | np.ndarray,
    path: str | Path,
    title: str | None = None,
    compare: tuple[Sequence[np.ndarray], Sequence[bool] | np.ndarray, str] | None = None,
) -> bool:
    """Save `trajectories_figure` as a PNG, whole or not at all; always True."""
    return _save(trajectories_figure(layout, trajectories, success, title, compare), path)


@_styled
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
    axes = figure.add_subplot(xlabel="updates", ylabel="success rate", ylim=(0, 1))
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
    if seeds > 1:
        for p, member in enumerate(rates.T):
            label = "_" if p else "each seed"
            axes.plot(*_finite(updates, member), color=BLUE, alpha=0.35, linewidth=0.8, label=label, clip_on=False)
    marker = "o" if len(updates) <= _FEW else ""
    mean = np.nanmean(rates, axis=1)
    label = "policy, mean over seeds" if seeds > 1 else "policy"
    axes.plot(updates, mean, color=BLUE, linewidth=2, marker=marker, markersize=4, label=label, clip_on=False, zorder=4)
    _count_updates(axes, metrics)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.3, reverse=True)
    _entitle(figure, title)
    return figure


@_styled
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
    figure.supxlabel(f"updates{note}", fontsize=9)
    _entitle(figure, title)
    return figure


@_styled
def trajectories_figure(
    layout: MazeLayout,
    trajectories: Sequence[np.ndarray],
    success: Sequence[bool] | np.ndarray,
    title: str | None = None,
    compare: tuple[Sequence[np.ndarray], Sequence[bool] | np.ndarray, str] | None = None,
) -> Figure:
    """Paths over the map of a maze, coloured by whether they reached the goal.

    layout        from `maze_layout`
    trajectories  positions (L, 2) of each episode, in the maze's coordinates
    success       (episodes,) bool
    title         above the figure
    compare       the same of another policy, and its name, for a second panel
    ->            Figure

    Raises QamError if the trajectories have another shape or are not as many as `success`.
    """
    shown = [(trajectories, success, "policy"), *([compare] if compare else [])]
    rows, columns = layout.walls.shape
    figure = Figure(figsize=(4.6 * len(shown), 4.2 * rows / columns + 1.2), layout="constrained")
    for i, (paths, solved, name) in enumerate(shown):
        paths, solved = [np.asarray(path) for path in paths], np.asarray(solved, bool)
        if len(paths) != solved.size or any(path.ndim != 2 or path.shape[1] != 2 or not len(path) for path in paths):
            raise QamError(
                f"got {len(paths)} trajectories of shapes {sorted({path.shape for path in paths})} and {solved.size} "
                "outcomes: expected positions (length >= 1, 2), and an outcome for each trajectory"
            )
        reached = f"{solved.sum()} of {len(paths)} reached the goal"
        axes = figure.add_subplot(1, len(shown), i + 1, title=f"{name}: {reached}", xlabel="x (m)")
        axes.set_ylabel("" if i else "y (m)")
        _draw_maze(axes, layout)
        _draw_paths(axes, paths, solved)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2 * len(shown))
    _entitle(figure, title)
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


def _draw_maze(axes: Axes, layout: MazeLayout) -> None:
    """Walls, start and goal."""
    walls = ListedColormap(["white", "#C9CDD2"])
    axes.imshow(layout.walls, cmap=walls, vmin=0, vmax=1, origin="lower", extent=layout.extent, zorder=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    top: dict[str, Any] = {"linestyle": "", "markeredgecolor": "white", "markeredgewidth": 1, "zorder": 6}
    axes.plot(*layout.start, **top, marker="o", markersize=9, color=INK, label="start")
    axes.plot(*layout.goal, **top, marker="*", markersize=13, color=ORANGE, label="goal")
    axes.add_patch(Circle(layout.goal, layout.goal_radius, facecolor=ORANGE + "40", edgecolor=ORANGE, zorder=5))


def _draw_paths(axes: Axes, paths: Sequence[np.ndarray], solved: np.ndarray) -> None:
    """Paths by outcome, the rarer outcome on top; those that failed end in a cross."""
    for outcome, color, label in ((True, BLUE, "reached the goal"), (False, VERMILION, "did not, × where it ended")):
        group = [path for path, reached in zip(paths, solved, strict=True) if reached == outcome]
        alpha, zorder = (0.8, 3) if 2 * len(group) < len(paths) else (0.45, 2)
        axes.add_collection(LineCollection(group, colors=color, linewidths=0.9, alpha=alpha, zorder=zorder))
        axes.plot([], [], color=color, linewidth=1.8, label=label)
        if not outcome and group:
            ends = np.array([path[-1] for path in group])
            axes.scatter(ends[:, 0], ends[:, 1], marker="x", s=18, color=color, linewidths=1.2, zorder=4)


def _by_seed(metrics: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """A metric's updates (U,) with finite values and its values (U, seeds), nan where there is none; later rows win."""
    for column in ("update", "seed", name):
        if column not in metrics:
            raise QamError(f"the metrics have no column '{column}', only {', '.join(metrics)}: use a run's metrics.csv")
    kept = np.isfinite(metrics[name])
    seeds, members = np.unique(metrics["seed"], return_inverse=True)
    updates, rows = np.unique(metrics["update"][kept], return_inverse=True)
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
    """From update 0 to the run's last, as 5k or 1M."""
    axes.set_xlim(0, max(1.0, float(np.max(metrics["update"], initial=0))))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _entitle(figure: Figure, title: str | None) -> None:
    if title:
        figure.suptitle(title, fontweight="bold")


@_styled
def _save(figure: Figure | None, path: str | Path) -> bool:
    if figure is None:
        return False
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        figure.savefig(temporary, format="png", dpi=DPI)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        reason = error.strerror or error
        raise QamError(f"could not write '{path}' ({reason}): give a writable directory with free space") from None
    return True
