"""A report as Markdown, with its plots as image files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qam_torch.report.blocks import Block, Heading, Panels, Table, Text, cell_text

__all__ = ["markdown"]


def markdown(blocks: Sequence[Block], pictures: str) -> str:
    """Render the report as Markdown.

    Args:
        blocks: of the report.
        pictures: directory of the panels' images NAME.png, as the text refers to it.
    """
    return "\n".join(line for block in blocks for line in _lines(block, pictures))


def _lines(block: Block, pictures: str) -> Iterator[str]:
    if isinstance(block, Heading):
        yield f"{'#' * block.level} {block.text}"
    elif isinstance(block, Text):
        yield from ([f"- {words}" for words in block.paragraphs] if len(block.paragraphs) > 1 else block.paragraphs)
    elif isinstance(block, Panels):
        yield f"![{block.caption}]({pictures}/{block.name}.png)"
        yield ""
        yield f"*{block.caption}*"
    else:
        yield from _table(block)
    yield ""


def _table(table: Table) -> Iterator[str]:
    yield _row(table.titles)
    yield _row(["---:" if right else "---" for right in table.rights])
    for row in table.rows:
        yield _row([cell_text(cell).replace("|", "\\|").replace("\n", " ") for cell in row])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
