"""The subset of Markdown in a report's sentences: **strong**, `code`, [words](URL) and bare addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["spans"]

_SPAN = re.compile(
    r"\*\*(?P<strong>.+?)\*\*|`(?P<code>.+?)`|\[(?P<link>[^\]]+)\]\((?P<to>[^)]+)\)|(?P<url>https://[\w./-]+\w)"
)


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
