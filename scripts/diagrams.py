"""Boxes, arrows and the file format of the documentation's diagrams.

A diagram is a white card with rounded corners, so that it looks the same on light and dark pages. One unit is one
point, and a diagram is 432 points wide: a font of 9.5 points can still be read where the page is 400 pixels wide.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from qam_torch.plotting.style import INK

WIDTH = 432
IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
FILE_STYLE = {"svg.hashsalt": "qam_torch", "svg.fonttype": "path", "mathtext.fontset": "dejavusans"}


def card(height: float) -> tuple[Figure, Axes]:
    """An empty card, with coordinates in points from its lower left corner."""
    figure = Figure(figsize=(WIDTH / 72, height / 72))
    figure.patch.set_alpha(0)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, height))
    axes.axis("off")
    corners = "round,pad=0,rounding_size=10"
    axes.add_patch(FancyBboxPatch((0.5, 0.5), WIDTH - 1, height - 1, corners, fc="white", ec="#CCCCCC", lw=1))
    return figure, axes


def box(
    axes: Axes,
    place: tuple[float, float, float, float],
    title: str,
    lines: Sequence[str] = (),
    color: str = "#777777",
    size: float = 10.5,
    tint: float = 0.13,
) -> None:
    """A tinted box at (left, bottom, right, top) with a bold title and lines of text, centered."""
    left, bottom, right, top = place
    for face, edge, alpha in ((color, "none", tint), ("none", color, 1.0)):
        shape = FancyBboxPatch(
            (left, bottom),
            right - left,
            top - bottom,
            "round,pad=0,rounding_size=5",
            fc=face,
            ec=edge,
            lw=1.3,
            alpha=alpha,
        )
        axes.add_patch(shape)
    step, middle = size * 1.45, (bottom + top) / 2
    first = middle + step * len(lines) / 2
    for index, line in enumerate([title, *lines]):
        write(axes, (left + right) / 2, first - index * step, line, size if index == 0 else size - 0.5, bold=index == 0)


def write(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    size: float = 9,
    bold: bool = False,
    color: str = INK,
    align: str = "center",
) -> None:
    """One line of text, centered in height."""
    weight = "bold" if bold else "normal"
    axes.text(x, y, text, size=size, weight=weight, color=color, ha=align, va="center", zorder=6)


def arrow(
    axes: Axes, points: Sequence[tuple[float, float]], color: str = INK, width: float = 1.3, dashed: bool = False
) -> None:
    """An arrow along straight lines, with a white margin where it crosses another."""
    style, last = "--" if dashed else "-", len(points) - 2
    for index, (start, end) in enumerate(zip(points, points[1:], strict=False)):
        axes.plot(*zip(start, end, strict=True), color="white", lw=width + 3, zorder=2, solid_capstyle="butt")
        if index < last:
            axes.plot(*zip(start, end, strict=True), color=color, lw=width, ls=style, zorder=3)
        else:
            options = {"arrowstyle": "-|>", "mutation_scale": 10, "shrinkA": 0, "shrinkB": 0, "zorder": 3}
            axes.add_patch(FancyArrowPatch(start, end, color=color, lw=width, ls=style, **options))


def digest(script: str) -> str:
    """SHA-256 of a script's text: the description of a diagram that is drawn from nothing else."""
    return hashlib.sha256(Path(script).read_bytes()).hexdigest()


def save(figure: Figure, name: str, description: str) -> None:
    """Write docs/images/NAME.svg, the same bytes each time for the same version of matplotlib.

    Args:
        figure: from `card`.
        name: of the file.
        description: what the diagram was drawn from; a test compares it with the present source.
    """
    with matplotlib.rc_context(FILE_STYLE):
        metadata = {"Date": None, "Creator": None, "Description": description}
        figure.savefig(IMAGES / f"{name}.svg", transparent=True, metadata=metadata)
