"""The blocks of a report, before it is rendered as Markdown, LaTeX or HTML."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

from matplotlib.axes import Axes

from qam_torch.stats.bootstrap import Estimate

__all__ = ["Block", "Heading", "Interval", "Panel", "Panels", "Table", "Text"]


class Interval(str):
    """Text of a table cell, with an estimate in [0, 1] that can be drawn too."""

    estimate: Estimate | None

    def __new__(cls, text: str, estimate: Estimate | None = None) -> Self:
        cell = super().__new__(cls, text)
        cell.estimate = estimate
        return cell


@dataclass(frozen=True)
class Heading:
    """A heading. Level 1 is the title of the report."""

    text: str
    level: int = 2
    kind: ClassVar = "heading"


@dataclass(frozen=True)
class Text:
    """One paragraph, or several as a list. `code`, **strong** and [text](URL) are as in Markdown."""

    paragraphs: Sequence[str]
    kind: ClassVar = "text"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: names of the columns. A trailing ">" aligns the column to the right, as for numbers.
        rows: cells of each row.
        caption: title of the table.
        name: identifier in file names and labels.
        folded: whether HTML may show the table collapsed.
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
    def right_aligned(self) -> list[bool]:
        """For each column, whether it is aligned to the right."""
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
        legend: entries (label, color, whether dashed).
        caption: text below the plots.
        name: identifier in file names.
    """

    panels: Sequence[Panel]
    legend: Sequence[tuple[str, Any, bool]]
    caption: str
    name: str
    kind: ClassVar = "panels"


Block = Heading | Text | Table | Panels
