"""Links between the files of the repository: in Markdown, and on the site."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator

__all__ = ["anchors", "links", "page_of", "repository_path", "rewritten", "without_code"]

LINK = re.compile(r"(?P<before>\]\()(?P<target>[^()\s]+)(?P<after>\))")
FENCE = re.compile(r"^(`{3,}|~{3,})[^\n]*\n.*?^\1`*\s*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:|^//")

COPIED = "files"
"""Directory of the site for linked files that are not pages."""


def repository_path(target: str, source: str) -> str | None:
    """The file that a relative link means, from the repository's root; None for an address or a bare anchor.

    target  as it stands in the link
    source  file that it stands in, from the repository's root
    """
    path = target.partition("#")[0]
    if not path or ELSEWHERE.match(target):
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), path))


def page_of(path: str) -> str:
    """Where the site has a file of the repository, from the site's own root; pages end in ".md"."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path.startswith("notebooks/"):
        return path.removesuffix(".ipynb") + ".md" if path.endswith(".ipynb") else path
    return path if path.endswith(".md") and "/" not in path else f"{COPIED}/{path}"


def links(text: str) -> Iterator[str]:
    """Targets of a Markdown text's links and images, code left out."""
    return (match["target"] for match in LINK.finditer(without_code(text)))


def anchors(text: str) -> set[str]:
    """What links into a Markdown text may point at: its headings as GitHub and the site write them."""
    found: set[str] = set()
    for title in re.findall(r"^#{1,6} +(.+?) *#*$", FENCE.sub("", text), re.MULTILINE):
        own = re.search(r"\{ *#([\w-]+) *\}$", title)
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()
        found.add(own[1] if own else re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def without_code(text: str) -> str:
    """The text with its code blanked out, every other character in its place."""
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])  # noqa: E731
    return CODE.sub(blank, FENCE.sub(blank, text))


def rewritten(text: str, source: str, known: Callable[[str], bool]) -> str:
    """The text with every relative link as it has to be on the site.

    text    of the Markdown file `source`, a path from the repository's root
    known   whether the repository has a file; links to others stay, for MkDocs to complain of
    """
    here = posixpath.dirname(page_of(source))
    pieces, end = [], 0
    for match in LINK.finditer(without_code(text)):
        path = repository_path(match["target"], source)
        if path is None or not known(path):
            continue
        _, hash_sign, anchor = match["target"].partition("#")
        pieces += [text[end : match.start("target")], posixpath.relpath(page_of(path), here or "."), hash_sign, anchor]
        end = match.end("target")
    return "".join([*pieces, text[end:]])
