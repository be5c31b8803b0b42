"""Blocks that a report consists of, before it is rendered as Markdown, LaTeX or HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from matplotlib.axes import Axes

from qam_torch.stats.bootstrap import Estimate

__all__ = ["Block", "Heading", "Interval", "Panel", "Panels", "Table", "Text"]


class Interval(str):
    """The text of a table cell that can also be drawn: with an estimate on a scale from 0 to 1."""

    estimate: Estimate | None

    def __new__(cls, text: str, estimate: Estimate | None = None) -> Self:
        cell = super().__new__(cls, text)
        cell.estimate = estimate
        return cell


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the report's own."""

    text: str
    level: int = 2
    kind: ClassVar = "heading"


@dataclass(frozen=True)
class Text:
    """One paragraph, or a list of several; with `code`, **strong** and [text](URL) as in Markdown."""

    paragraphs: Sequence[str]
    kind: ClassVar = "text"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: name of each; a trailing ">" aligns its cells to the right, as for numbers.
        rows: the cells.
        caption: title of the table.
        name: identifier in file names and labels.
        folded: whether a page may show it collapsed at first.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    name: str
    folded: bool = False
    kind: ClassVar = "table"

    @property
    def titles(self) -> list[str]:
        """Names of the columns."""
        return [column.rstrip(">") for column in self.columns]

    @property
    def rights(self) -> list[bool]:
        """Whether each column's cells are aligned to the right."""
        return [column.endswith(">") for column in self.columns]


class Panel(NamedTuple):
    """A small plot: a function that draws it."""

    title: str
    draw: Callable[[Axes], None]


@dataclass(frozen=True)
class Panels:
    """Plots side by side that share a legend.

    Attributes:
        panels: the plots.
        legend: (label, color, whether dashed).
        caption: below the plots.
        name: identifier in file names.
    """

    panels: Sequence[Panel]
    legend: Sequence[tuple[str, Any, bool]]
    caption: str
    name: str
    kind: ClassVar = "panels"


Block = Heading | Text | Table | Panels
