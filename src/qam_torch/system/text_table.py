"""Tables of words on a terminal.

By hand, because rich would wrap rows at the terminal's width, also in a log or a pipe. A table that grows while it is
printed, as that of `qam-bench`, has fixed widths instead.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

__all__ = ["aligned"]


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Pad cells so that columns line up.

    Args:
        rows: cells of each row, equally many.
        right: indices of the columns whose cells are aligned to the right.

    Returns:
        One line per row, with two spaces between columns.
    """
    columns = [
        [cell.rjust(width) if index in right else cell.ljust(width) for cell in column]
        for index, column in enumerate(zip(*rows, strict=True))
        for width in [max(map(len, column))]
    ]
    return ["  ".join(row).rstrip() for row in zip(*columns, strict=True)]
