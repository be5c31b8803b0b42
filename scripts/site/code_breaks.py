"""Where browsers may break lines in code: not inside options, and in tables between the words of long names."""

from __future__ import annotations

import re

__all__ = ["with_breaks"]

CODE = re.compile(r"(<code[^>]*>)(.*?)(</code>)", re.DOTALL)
CELL = re.compile(r"<td[^>]*>.*?</td>", re.DOTALL)
TAG = re.compile(r"(<[^>]*>)")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
ENDING = r"(?:ckpt|csv|html|json|md|npz|parquet|png|py|tex|txt|yaml)\b"
BETWEEN_WORDS = re.compile(rf"(?<=[\w}})][_/.=])(?=[A-Za-z$])(?!(?<=\.){ENDING})")
WITH_COMMA = re.compile(r"<code[^>]*>[^<]*(?:<(?!/code)[^<]*)*</code>[,;:.)]+")
WHOLE = r'<span class="whole">\g<0></span>'


def with_breaks(content: str) -> str:
    """A page with `--option` marked as unbreakable, and break opportunities in the names in tables.

    Args:
        content: HTML of a page.
    """
    content = _in_code(content, OPTION, r'<span class="option">\g<0></span>')
    return CELL.sub(lambda cell: WITH_COMMA.sub(WHOLE, _in_code(cell[0], BETWEEN_WORDS, "<wbr>")), content)


def _in_code(content: str, pattern: re.Pattern[str], replacement: str) -> str:
    """Replace a pattern in the text of code, not in its tags."""

    def replaced(code: re.Match[str]) -> str:
        parts = TAG.split(code[2])
        return code[1] + "".join(p if p.startswith("<") else pattern.sub(replacement, p) for p in parts) + code[3]

    return CODE.sub(replaced, content)
