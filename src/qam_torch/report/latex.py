"""A report as a LaTeX document that compiles, with booktabs tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qam_torch.report.blocks import Block, Heading, Interval, Panels, Table, Text, cell_text
from qam_torch.report.inline_markup import spans

__all__ = ["escaped", "latex"]

PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{textcomp,booktabs,longtable,array}
\usepackage[landscape,margin=15mm]{geometry}
\begin{document}
\small
"""

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "−": r"$-$", "–": "--", "…": r"\dots{}", '"': r"\textquotedbl{}",
}  # fmt: skip

PATH_LIKE = 30
"""Words at least this long may be broken across lines."""

LONGEST_PLAIN = 40
"""A column with longer cells is set in paragraphs."""

LETTERS_OF_A_LINE, ROWS_OF_A_PAGE = 170, 36


def latex(blocks: Sequence[Block]) -> str:
    """Render the document; plots are left out."""
    return PREAMBLE + "\n".join(line for block in blocks for line in _lines(block)) + "\n\\end{document}\n"


def _lines(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield (
            rf"\section*{{{escaped(block.text)}}}" if block.level == 1 else rf"\subsection*{{{escaped(block.text)}}}"
        )
    elif isinstance(block, Text):
        yield from (f"{_marked(words)}\n" for words in block.paragraphs)
    elif isinstance(block, Table):
        yield from _table(block)
    elif not isinstance(block, Panels):
        raise TypeError(block)


def _table(table: Table) -> Iterator[str]:
    """A floating table, or one that spans pages if it has many rows."""
    columns = f"@{{}}{''.join(_columns(table))}@{{}}"
    caption = rf"\caption{{{escaped(table.caption)}}}\label{{tab:{table.name}}}"
    head = [r"\toprule", " & ".join(map(escaped, table.titles)) + r" \\", r"\midrule"]
    rows = (" & ".join(escaped(cell_text(cell)) for cell in row) + r" \\" for row in table.rows)
    if len(table.rows) > ROWS_OF_A_PAGE:
        yield from (
            rf"\begin{{longtable}}{{{columns}}}",
            caption + r"\\",
            *head,
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
        )
        yield from (*rows, r"\end{longtable}")
    else:
        yield from (r"\begin{table}[htbp]", r"\centering", caption, rf"\begin{{tabular}}{{{columns}}}", *head, *rows)
        yield from (r"\bottomrule", r"\end{tabular}", r"\end{table}")


def _columns(table: Table) -> Iterator[str]:
    """The alignment of each column; columns of long cells share the remaining width."""
    longest = [max(map(len, column)) for column in zip(table.titles, *map(_words, table.rows), strict=True)]
    plain = sum(length + 3 for length in longest if length <= LONGEST_PLAIN)
    width = max(0.4, 0.95 - plain / LETTERS_OF_A_LINE) / max(1, sum(length > LONGEST_PLAIN for length in longest))
    for length, right in zip(longest, table.rights, strict=True):
        if length > LONGEST_PLAIN:
            yield rf">{{\raggedright\arraybackslash}}p{{{width:.2f}\linewidth}}"
        else:
            yield "r" if right else "l"


def _words(row: Sequence[str | Interval]) -> list[str]:
    return [cell_text(cell) for cell in row]


def escaped(text: str) -> str:
    """Escape LaTeX's special characters; characters outside the font become question marks."""
    words = []
    for word in text.split(" "):
        letters = [_SPECIAL.get(letter, letter if ord(letter) < 0x250 else "?") for letter in word]
        if len(word) > PATH_LIKE:
            letters = [letter + r"\allowbreak{}" if plain in "/,=-" else letter
                       for letter, plain in zip(letters, word, strict=True)]  # fmt: skip
        # A bracket at a cell's start would be taken for an option of the row's end before it.
        words.append("{}" * word.startswith("[") + "".join(letters))
    return " ".join(words)


def _marked(text: str) -> str:
    styles = {"plain": "{}", "strong": r"\textbf{{{}}}", "code": r"\texttt{{{}}}"}
    found = []
    for kind, words, address in spans(text):
        text_and_address = f"{words} ({address})" if address and address != words else words
        found.append(styles.get(kind, "{}").format(escaped(text_and_address)))
    return "".join(found)
