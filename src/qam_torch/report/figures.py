"""Plots of a report: learning curves with the published curves, and performance profiles."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from qam_torch.plotting.step_axis import FEW_POINTS
from qam_torch.plotting.style import INK, colors, save_figure, styled
from qam_torch.report.blocks import Panel, Panels
from qam_torch.report.number_format import format_step
from qam_torch.report.results import Group, Step
from qam_torch.stats.bootstrap import Scores, performance_profile, task_mean

__all__ = ["curves", "profiles", "save_panels", "svg"]

THRESHOLDS = np.arange(101) / 100
SIZE = (4.0, 2.7)
"""Width and height of a panel in inches."""

_VARIABLES = {INK: "--ink", "#999999": "--faint", "#666666": "--faint", "#e6e6e6": "--line"}
"""Color in a plot -> variable of the page's style sheet that replaces it, so that plots fit light and dark pages."""


def curves(groups: Sequence[Group], name: str) -> Panels:
    """Plot the mean and interval over seeds against the step, for a domain and for each of its tasks."""
    palette = dict(zip([group.method for group in groups], map(to_hex, colors(len(groups))), strict=True))
    tasks: dict[str, list[Group]] = {}
    for group in groups:
        for one in group.by_task:
            tasks.setdefault(one.name, []).append(one)
    axis, shaded = _step_axis(groups)
    draw = partial(_draw, palette, shaded)
    panels = [Panel(f"{groups[0].name}, mean of its tasks" if tasks else groups[0].name, partial(draw, groups))]
    if len(tasks) == 1:
        panels = []
    panels += [Panel(task, partial(draw, own)) for task, own in sorted(tasks.items(), key=lambda one: one[0])]
    published = any(len(_published_points(group)) for own in (groups, *tasks.values()) for group in own)
    legend = [(method, color, False) for method, color in palette.items()]
    legend += [("published", INK, True)] if published else []
    dashed = " Dashed: published results." if published else ""
    dotted = " Dotted: steps that not all of its tasks have reached." if any(map(_incomplete_steps, groups)) else ""
    caption = f"{groups[0].measure.capitalize()} by {axis}: mean over seeds with 95% interval.{dashed}{dotted}"
    return Panels(panels, legend, caption, f"{name}-curves")


def profiles(groups: Sequence[Group], name: str) -> Panels | None:
    """Plot performance profiles for each phase, at the last step that at least half of the methods in it share.

    Returns:
        The panels, or None if no two methods share a step and a task, or if an environment reports no success.
    """
    if any(group.measure != "success" for group in groups):
        return None
    palette = list(zip(groups, map(to_hex, colors(len(groups))), strict=True))
    panels, captions, shown = [], [_PROFILES], []
    for online in (False, True):
        there = [(group, color) for group, color in palette if _of_phase(group, online)]
        counts = Counter(step for group, _ in there for step in _of_phase(group, online))
        shared = [step for step in counts if counts[step] >= max(2, len(there) / 2)]
        found = _profiles_at(max(shared, key=sum), there) if shared else None
        if found is not None:
            panels.append(Panel(f"{groups[0].name}, after {format_step(max(shared, key=sum))}", found.draw))
            captions += found.notes
            shown += found.methods
    legend = [(group.method, color, False) for group, color in palette if group.method in shown]
    return Panels(panels, legend, " ".join(captions), f"{name}-profiles") if panels else None


_PROFILES = (
    "Performance profiles: share of runs whose success is above a threshold, mean over tasks, with pointwise 95% "
    "intervals. Higher is better."
)


class _Profiles(NamedTuple):
    """Performance profiles at one step.

    Attributes:
        draw: function that draws the profiles.
        notes: notes for the caption.
        methods: methods that have a profile.
    """

    draw: Callable[[Axes], None]
    notes: list[str]
    methods: list[str]


def _of_phase(group: Group, online: bool) -> list[Step]:
    return [step for step in group.steps if bool(step[1]) == online]


def _profiles_at(step: Step, palette: Sequence[tuple[Group, str]]) -> _Profiles | None:
    """Prepare the profiles over the tasks that all methods share, or return None if there is no such task."""
    there = [(group, color) for group, color in palette if step in group.steps]
    scores = [group.scores(step) for group, _ in there]
    tasks = [place for place in scores[0] if all(place in one for one in scores)]
    if not tasks:
        return None
    drawn = [([one[place] for place in tasks], color) for one, (_, color) in zip(scores, there, strict=True)]
    methods, notes = [group.method for group, _ in there], []
    absent = [group.method for group, _ in palette if group.method not in methods]
    if absent:
        notes.append(f"Reached by less than half of the runs of {', '.join(absent)}: {format_step(step)}.")
    if len(tasks) < max(map(len, scores)):
        over = ", ".join(place.rpartition("task ")[2] for place in tasks)
        notes.append(f"After {format_step(step)} only tasks that all methods share are included: {over}.")
    return _Profiles(partial(_draw_profiles, drawn), notes, methods)


# Drawing


def _draw(palette: dict[str, Any], shaded: bool, groups: Sequence[Group], axes: Axes) -> None:
    last, changes = 1, _changes(groups)
    for group in groups:
        color, steps = palette[group.method], group.steps
        found = [task_mean(list(group.scores(step).values())) for step in steps]
        x = [sum(step) for step in steps]
        last = max([last, *x])
        low, high = [one.low for one in found], [one.high for one in found]
        axes.fill_between(x, low, high, color=color, alpha=0.18, linewidth=0)
        lost = np.isin(x, [sum(step) for step in _incomplete_steps(group)])
        _draw_means(axes, np.array(x), np.array([one.value for one in found]), lost, color)
        _draw_published(axes, group, color)
    for change in sorted(changes):
        axes.axvline(change, color=INK, linewidth=0.8, linestyle=":", zorder=1)
    if shaded and changes:
        axes.axvspan(0, changes.pop(), color=INK, alpha=0.06, linewidth=0, zorder=0)
    axes.set_xlim(0, last * 1.02)
    if groups[0].measure == "success":
        axes.set_ylim(-0.02, 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _changes(groups: Sequence[Group]) -> set[int]:
    """Return the numbers of updates after which an online phase begins."""
    return {step[0] for group in groups for step in _of_phase(group, online=True)}


def _step_axis(groups: Sequence[Group]) -> tuple[str, bool]:
    """Return what the axis counts, and whether the offline phase can be shaded.

    It can be shaded if all online phases begin at the same step, and no offline curve is longer.
    """
    changes = _changes(groups)
    longest = max((step[0] for group in groups for step in _of_phase(group, online=False)), default=0)
    if not changes:
        return "offline updates", False
    if changes == {longest} == {0}:
        return "online environment steps", False
    if len(changes) == 1 and longest <= max(changes):
        return "offline updates (shaded), then online environment steps", True
    return "offline updates, and online environment steps after a dotted vertical line", False


def _draw_means(axes: Axes, x: np.ndarray, means: np.ndarray, lost: np.ndarray, color: Any) -> None:
    """Draw a line, dotted around points at which tasks are missing; `lost` (n,) bool marks these points."""
    beside = lost | np.append(lost[1:], False) | np.insert(lost[:-1], 0, False)
    for kept, linestyle in ((~lost, "-"), (beside, ":")):
        if kept.any():
            style: dict[str, Any] = {"color": color, "linewidth": 1.8, "linestyle": linestyle, "zorder": 4}
            marker = "o" if len(x) <= FEW_POINTS else ""
            axes.plot(x, np.where(kept, means, np.nan), marker=marker, markersize=3, **style)


def _whole(group: Group) -> bool:
    """Return whether the group has results on all tasks of a complete group."""
    return len(set(group.rows.place)) == group.tasks


def _incomplete_steps(group: Group) -> list[Step]:
    """Return the steps that some but not all of the group's tasks have reached."""
    tasks = len(set(group.rows.place))
    return [step for step in group.steps if len(group.scores(step)) < tasks]


def _published_points(group: Group) -> np.ndarray:
    """Return the indices of the published curve's points up to the last step of the group.

    Points of the online phase are included only if the group has an online phase after as many offline updates. The
    result is empty if no curve is published, or if not all tasks were run.
    """
    curve = group.curve
    if curve is None or not _whole(group):
        return np.array([], dtype=int)
    begun = {step[0] for step in group.steps if step[1]}
    kept = (curve.online_steps == 0) | np.isin(curve.offline_updates, list(begun))
    return np.flatnonzero(kept & (curve.steps <= max(map(sum, group.steps))))


def _draw_published(axes: Axes, group: Group, color: Any) -> None:
    curve, kept = group.curve, _published_points(group)
    if curve is not None and len(kept):
        style: dict[str, Any] = {"color": color, "linestyle": (0, (4, 2)), "linewidth": 1.2, "zorder": 3}
        axes.plot(curve.steps[kept], curve.success[kept], marker="s", markersize=2.5, markerfacecolor="none", **style)
        axes.fill_between(curve.steps[kept], curve.low[kept], curve.high[kept], color=color, alpha=0.08, linewidth=0)


def _draw_profiles(palette: Sequence[tuple[Scores, Any]], axes: Axes) -> None:
    for scores, color in palette:
        shares, ends = performance_profile(scores, THRESHOLDS)
        axes.fill_between(THRESHOLDS, ends[:, 0], ends[:, 1], color=color, alpha=0.18, linewidth=0, step="post")
        axes.plot(THRESHOLDS, shares, color=color, linewidth=1.8, drawstyle="steps-post")
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), xlabel="success", ylabel="share of runs above")


# Writing


@styled
def svg(panel: Panel, prefix: str) -> str:
    """Render a panel as SVG with the page's colors.

    Args:
        panel: the plot.
        prefix: prefix of all identifiers in the SVG; panels of one page need different prefixes.

    Returns:
        The SVG element as text.
    """
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix}):
        figure = Figure(figsize=SIZE, layout="constrained", facecolor="none")
        axes = figure.add_subplot(facecolor="none")
        panel.draw(axes)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None}, facecolor="none")
    text = written.getvalue()
    text = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'(id="|url\(#|href="#)', rf"\1{prefix}-", text)
    for color, variable in _VARIABLES.items():
        text = re.sub(rf"(?<=: ){color}", f"var({variable})", text, flags=re.IGNORECASE)
    size = re.findall(r'<svg [^>]*?viewBox="([^"]*)"', text)[0]
    opening = f'<svg aria-label="{escape(panel.title)}" viewBox="{size}" role="img">'
    return opening + text[text.index(">") + 1 :]


@styled
def save_panels(panels: Panels, path: Path) -> None:
    """Save all panels and their legend as one PNG. A short legend is beside a single panel, any other below."""
    columns = min(3, len(panels.panels))
    rows = -(-len(panels.panels) // columns)
    lines = -(-len(panels.legend) // columns)
    beside = len(panels.panels) == 1 and lines <= 12 and all(len(label) <= 20 for label, _, _ in panels.legend)
    size = (SIZE[0] + 2, SIZE[1]) if beside else (max(SIZE[0] * columns, 5.5), SIZE[1] * rows + 0.2 * lines + 0.3)
    figure = Figure(figsize=size, layout="constrained")
    for number, panel in enumerate(panels.panels, 1):
        axes = figure.add_subplot(rows, columns, number, title=panel.title)
        panel.draw(axes)
    handles = [
        matplotlib.lines.Line2D([], [], color=color, linestyle="--" if dashed else "-", label=label)
        for label, color, dashed in panels.legend
    ]
    place: Any = {"loc": "outside right upper"} if beside else {"loc": "outside lower left", "ncols": columns}
    figure.legend(handles=handles, **place)
    save_figure(figure, path)
