"""Render the blocks of a report as Markdown, LaTeX and HTML, with the templates in templates/."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from qam_torch.paper import CITATION, Curve
from qam_torch.report.blocks import Block, Table
from qam_torch.report.figures import svg
from qam_torch.stats.success import FEWEST_SEEDS

__all__ = ["escaped", "methodology", "html", "latex", "markdown", "spans"]

BADGES = {
    "overlap": "good", "finished": "good", "apart": "bad", "broken": "bad", "missing": "bad", "unfinished": "warn",
    "left out": "calm",
}  # fmt: skip
"""Text of a table cell -> CSS class of its badge."""

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "−": r"$-$", "–": "--", "…": r"\dots{}", '"': r"\textquotedbl{}",
}  # fmt: skip

PATH_LIKE = 30
"""In LaTeX, words of at least this length may be broken across lines."""

LONGEST_PLAIN = 40
"""In LaTeX, a column with longer cells is a paragraph column."""

LETTERS_PER_LINE = 170

_SPAN = re.compile(
    r"\*\*(?P<strong>.+?)\*\*|`(?P<code>.+?)`|\[(?P<link>[^\]]+)\]\((?P<to>[^)]+)\)|(?P<url>https://[\w./-]+\w)"
)


def markdown(blocks: Sequence[Block], pictures: str) -> str:
    """Render the report as Markdown.

    Args:
        blocks: blocks of the report.
        pictures: directory of the images NAME.png, relative to the Markdown file.
    """
    return _templates().get_template("report.md.j2").render(blocks=blocks, pictures=pictures)


def latex(blocks: Sequence[Block]) -> str:
    """Render a complete LaTeX document with booktabs tables. It has no plots."""
    environment = _templates().overlay(  # LaTeX uses the default delimiters itself
        block_start_string="<%", block_end_string="%>", variable_start_string="<<", variable_end_string=">>",
        comment_start_string="<#", comment_end_string="#>",
    )  # fmt: skip
    return environment.get_template("report.tex.j2").render(blocks=blocks)


def html(blocks: Sequence[Block], title: str) -> str:
    """Render one self-contained page. Style and plots are embedded, so no other files are loaded."""
    template = _templates().overlay(autoescape=True).get_template("report.html.j2")
    return template.render(blocks=blocks, title=title, badges=BADGES, svg=svg)


def methodology(transcribed: Sequence[Curve] = ()) -> list[str]:
    """Paragraphs that explain how results are computed and compared.

    Args:
        transcribed: one published curve of each method whose published results were transcribed by third parties.
    """
    template = _templates().get_template("methodology.md.j2")
    return template.render(citation=CITATION, fewest_seeds=FEWEST_SEEDS, transcribed=transcribed).splitlines()


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("qam_torch.report"), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= {
        "across": _across, "alignment": _alignment, "anchor": _anchor, "small_interval": _small_interval,
        "spans": spans, "tex": escaped,
    }  # fmt: skip
    return environment


def spans(text: str) -> Iterator[tuple[str, str, str]]:
    """Split text into (kind, text, address); the kind is plain, strong, code or link."""
    end = 0
    for match in _SPAN.finditer(text):
        yield "plain", text[end : match.start()], ""
        kind = match.lastgroup if match.lastgroup in ("strong", "code") else "link"
        words = match["strong"] or match["code"] or match["link"] or match["url"]
        yield kind, words, match["to"] or match["url"] or ""
        end = match.end()
    yield "plain", text[end:], ""


# HTML


def _anchor(words: str) -> str:
    return re.sub(r"[^\w]+", "-", words.lower())


def _small_interval(words: str) -> Markup:
    """Set the bracket after a number in small print."""
    return Markup(re.sub(r"( [\[(].*)", r"<small>\1</small>", str(escape(words)), count=1, flags=re.DOTALL))


def _across(share: float) -> str:
    """Horizontal position of a number in [0, 1] on a bar of width 100."""
    return f"{4 + 92 * min(1.0, max(0.0, share)):.1f}"


# LaTeX


def _alignment(table: Table) -> str:
    """LaTeX's column specification. Columns with long cells share the remaining width."""
    longest = [max(map(len, column)) for column in zip(table.titles, *table.rows, strict=True)]
    plain = sum(length + 3 for length in longest if length <= LONGEST_PLAIN)
    width = max(0.4, 0.95 - plain / LETTERS_PER_LINE) / max(1, sum(length > LONGEST_PLAIN for length in longest))
    paragraph = rf">{{\raggedright\arraybackslash}}p{{{width:.2f}\linewidth}}"
    columns = zip(longest, table.right_aligned, strict=True)
    return "".join(paragraph if length > LONGEST_PLAIN else "r" if right else "l" for length, right in columns)


def escaped(text: str) -> str:
    """Escape LaTeX's special characters. Characters that the font lacks become question marks."""
    words = []
    for word in text.split(" "):
        letters = [_SPECIAL.get(letter, letter if ord(letter) < 0x250 else "?") for letter in word]
        if len(word) > PATH_LIKE:
            letters = [letter + r"\allowbreak{}" if plain in "/,=-" else letter
                       for letter, plain in zip(letters, word, strict=True)]  # fmt: skip
        # A bracket at the start of a row would be parsed as the optional argument of the preceding \\.
        words.append("{}" * word.startswith("[") + "".join(letters))
    return " ".join(words)
