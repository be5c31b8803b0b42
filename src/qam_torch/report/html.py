"""A report as one self-contained HTML page: style and plots are inside, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from importlib import resources

from qam_torch.report.blocks import Block, Heading, Interval, Panels, Table, Text, cell_text
from qam_torch.report.figures import svg
from qam_torch.report.inline_markup import spans
from qam_torch.stats.bootstrap import Estimate

__all__ = ["html"]

BADGES = {
    "overlap": "good", "finished": "good", "apart": "bad", "broken": "bad", "missing": "bad", "unfinished": "warn",
    "left out": "calm",
}  # fmt: skip
"""Cell text -> class of its badge."""


def html(blocks: Sequence[Block], title: str) -> str:
    """Render the whole page."""
    style = resources.files("qam_torch.report").joinpath("page.css").read_text()
    headings = [block for block in blocks if isinstance(block, Heading) and block.level == 2]
    links = "".join(f'<a href="#{_anchor(one.text)}">{escape(one.text)}</a>' for one in headings)
    body = "\n".join(line for number, block in enumerate(blocks) for line in _lines(block, f"p{number}"))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<nav>{links}</nav>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _anchor(words: str) -> str:
    return re.sub(r"[^\w]+", "-", words.lower())


def _lines(block: Block, prefix: str) -> Iterator[str]:
    if isinstance(block, Heading):
        yield f'<h{block.level} id="{_anchor(block.text)}">{escape(block.text)}</h{block.level}>'
    elif isinstance(block, Text):
        paragraphs = [_marked(words) for words in block.paragraphs]
        several = len(paragraphs) > 1
        yield f"<ul>{''.join(f'<li>{one}</li>' for one in paragraphs)}</ul>" if several else f"<p>{paragraphs[0]}</p>"
    elif isinstance(block, Panels):
        yield from _panels(block, prefix)
    else:
        yield from _table(block)


def _marked(text: str) -> str:
    tags = {"plain": "{}", "strong": "<strong>{}</strong>", "code": "<code>{}</code>"}
    found = []
    for kind, words, address in spans(text):
        tag = f'<a href="{escape(address)}">{{}}</a>' if kind == "link" else tags[kind]
        found.append(tag.format(escape(words)))
    return "".join(found)


def _panels(block: Panels, prefix: str) -> Iterator[str]:
    yield '<figure>\n<div class="legend">'
    for label, color, dashed in block.legend:
        stroke = "currentColor" if dashed else color
        line = (
            f'<line x1="1" y1="6" x2="25" y2="6" stroke="{stroke}" stroke-dasharray="{"5 3" if dashed else "none"}"/>'
        )
        yield f'<span><svg class="key" viewBox="0 0 26 12">{line}</svg>{escape(label)}</span>'
    yield '</div>\n<div class="panels">'
    for number, panel in enumerate(block.panels):
        picture = svg(panel, f"{prefix}-{number}").replace("<svg ", f'<svg aria-label="{escape(panel.title)}" ', 1)
        yield f'<div class="panel"><div class="title">{escape(panel.title)}</div>{picture}</div>'
    yield f"</div>\n<figcaption>{escape(block.caption)}</figcaption>\n</figure>"


def _table(table: Table) -> Iterator[str]:
    head = "".join(
        f"<th{' class=number' * right}>{escape(title)}</th>"
        for title, right in zip(table.titles, table.rights, strict=True)
    )
    if table.folded:
        yield f"<details><summary>{escape(table.caption)} ({len(table.rows):,})</summary>"
    yield f'<div class="scroll"><table id="table-{table.name}"><caption>{escape(table.caption)}</caption>'
    yield f"<thead><tr>{head}</tr></thead><tbody>"
    before = ""
    for row in table.rows:
        first = cell_text(row[0])
        group = ' class="first"' if first != before else ""
        before = first
        cells = "".join(
            _cell(cell, right, title) for cell, right, title in zip(row, table.rights, table.titles, strict=True)
        )
        yield f"<tr{group}>{cells}</tr>"
    yield "</tbody></table></div>"
    if table.folded:
        yield "</details>"


def _cell(cell: str | Interval, right: bool, title: str) -> str:
    words = cell_text(cell)
    kind = ["number"] * right + ["wide"] * (len(words) > 40) + ["nothing"] * (words == "–")
    opening = f'<td data-label="{escape(title)}"' + (f' class="{" ".join(kind)}">' if kind else ">")
    if words in BADGES and title in ("intervals", "status"):
        return f'{opening}<span class="badge {BADGES[words]}">{words}</span></td>'
    drawn = _bar(cell.estimate, title) if isinstance(cell, Interval) and cell.estimate is not None else ""
    return f"{opening}{_with_small_interval(words) if right else escape(words)}{drawn}</td>"


def _with_small_interval(words: str) -> str:
    """A number, and in small print the bracket after it."""
    number, bracket, rest = re.fullmatch(r"(.*?)(?:( [\[(])(.*))?", words, re.DOTALL).groups("")  # type: ignore[union-attr]
    return f"{escape(number)}<small>{bracket}{escape(rest)}</small>" if bracket else escape(number)


def _bar(estimate: Estimate, title: str) -> str:
    """An estimate on a scale from 0 to 1, with its interval as a line; published ones in another color."""
    x = [4 + 92 * min(1.0, max(0.0, number)) for number in estimate if number == number]
    line = f'<line class="span" x1="{x[1]:.1f}" x2="{x[2]:.1f}" y1="6" y2="6"/>' if estimate.bounded else ""
    axis = '<line class="axis" x1="4" x2="96" y1="6" y2="6"/>'
    dot = f'<circle cx="{x[0]:.1f}" cy="6" r="3.4"/>'
    kind = "bar other" if title == "published" else "bar"
    return f'<svg class="{kind}" viewBox="0 0 100 12" aria-hidden="true">{axis}{line}{dot}</svg>'
