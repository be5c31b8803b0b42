"""What a report consists of, before it is written as Markdown, LaTeX or HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from qam_torch.stats.bootstrap import Estimate

__all__ = ["Block", "Heading", "Interval", "Panel", "Panels", "Table", "Text"]


class Interval(NamedTuple):
    """A cell of a table that also can be drawn: its words, and its place on a scale from 0 to 1."""

    text: str
    estimate: Estimate | None = None


class Heading(NamedTuple):
    """A heading; level 1 is the report's own."""

    text: str
    level: int = 2


class Text(NamedTuple):
    """A paragraph, or with several a list; `code` in backquotes, **strong**, and [words](URL) as in Markdown."""

    paragraphs: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: name of each; a trailing ">" has its cells to the right, as numbers are.
        rows: cells.
        name: of it in a file's name or label.
        folded: what a page may show folded up at first: many rows that few people look at.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | Interval]]
    caption: str
    name: str
    folded: bool = False

    @property
    def titles(self) -> list[str]:
        """Names of the columns."""
        return [column.rstrip(">") for column in self.columns]

    @property
    def rights(self) -> list[bool]:
        """Whether each column's cells stand to the right."""
        return [column.endswith(">") for column in self.columns]


class Panel(NamedTuple):
    """A small plot: a function that draws it."""

    title: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class Panels:
    """Plots that stand side by side and share a legend.

    Attributes:
        legend: (label, colour, whether dashed).
    """

    panels: Sequence[Panel]
    legend: Sequence[tuple[str, Any, bool]]
    caption: str
    name: str


Block = Heading | Text | Table | Panels


def cell_text(cell: str | Interval) -> str:
    """What a cell says."""
    return cell.text if isinstance(cell, Interval) else cell
