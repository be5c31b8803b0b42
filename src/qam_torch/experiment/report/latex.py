"""A report's tables as LaTeX, in the manner of booktabs: a document that compiles, to take tables from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from qam_torch.experiment.report.blocks import Block, Heading, Panels, Table, Text, words_of
from qam_torch.experiment.report.marked import spans

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
"""Letters of a word from which on a line may break inside it."""

LONGEST_PLAIN = 40
"""Letters of a cell from which on its column is one of paragraphs."""


def latex(blocks: Sequence[Block]) -> str:
    """The document; plots are left out."""
    return PREAMBLE + "\n".join(line for block in blocks for line in _lines(block)) + "\n\\end{document}\n"


def _lines(block: Block) -> Iterator[str]:
    if isinstance(block, Heading):
        yield (
            rf"\section*{{{escaped(block.words)}}}" if block.level == 1 else rf"\subsection*{{{escaped(block.words)}}}"
        )
    elif isinstance(block, Text):
        yield from (f"{_marked(words)}\n" for words in block.words)
    elif isinstance(block, Table):
        yield from _table(block)
    elif not isinstance(block, Panels):
        raise TypeError(block)


def _table(table: Table) -> Iterator[str]:
    """One that goes on over several pages where it has to."""
    lengths = [max([0, *(len(words_of(row[i])) for row in table.rows)]) for i in range(len(table.columns))]
    long = [length > LONGEST_PLAIN for length in lengths]
    width = 0.75 / max(1, sum(long))
    kinds = [
        rf">{{\raggedright\arraybackslash}}p{{{width:.2f}\linewidth}}" if is_long else "r" if right else "l"
        for is_long, right in zip(long, table.rights, strict=True)
    ]
    header = " & ".join(map(escaped, table.titles)) + r" \\"
    yield rf"\begin{{longtable}}{{@{{}}{''.join(kinds)}@{{}}}}"
    yield rf"\caption{{{escaped(table.caption)}}}\label{{tab:{table.name}}}\\"
    yield from (r"\toprule", header, r"\midrule", r"\endfirsthead")
    yield from (r"\toprule", header, r"\midrule", r"\endhead", r"\bottomrule", r"\endfoot")
    yield from (" & ".join(escaped(words_of(cell)) for cell in row) + r" \\" for row in table.rows)
    yield r"\end{longtable}"


def escaped(text: str) -> str:
    """Text with nothing in it that LaTeX takes for an order; what it has no letter for is a question mark."""
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
        told = f"{words} ({address})" if address and address != words else words
        found.append(styles.get(kind, "{}").format(escaped(told)))
    return "".join(found)
