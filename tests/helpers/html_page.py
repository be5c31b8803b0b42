"""An HTML page's identifiers and references."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """Collects identifiers, what is referred to, and whether tags are closed."""

    VOID = ("meta", "link", "img", "br", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "data", "srcset"):
                self.references.append((tag, value or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
