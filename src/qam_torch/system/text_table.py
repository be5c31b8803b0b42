"""Plain-text tables with aligned columns.

The package rich is not used here, because it wraps rows at the terminal's width, even in a log or a pipe. A table that
is printed row by row, like that of `qam-bench`, cannot use this function and has fixed widths.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["aligned"]


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Pad cells so that columns line up.

    Args:
        rows: cells of each row; all rows have the same number of cells.
        right: indices of right-aligned columns.

    Returns:
        One line per row, with two spaces between columns.
    """
    columns = [
        [cell.rjust(width) if index in right else cell.ljust(width) for cell in column]
        for index, column in enumerate(zip(*rows, strict=True))
        for width in [max(map(len, column))]
    ]
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
