"""Check the links of the built site.

    python scripts/site/check_site.py build/docs

Checks every relative address of a page or picture, and every anchor, in the built pages. Addresses of other sites are
not requested, but the site must fetch nothing from them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src")}


@dataclass
class Page(HTMLParser):
    """A page's anchors, and its addresses with their tags."""

    anchors: set[str] = field(default_factory=set)
    addresses: set[tuple[str, str]] = field(default_factory=set)
    fetched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the anchors and addresses of a tag."""
        given = dict(attrs)
        self.anchors |= {name for key in ("id", "name") if (name := given.get(key))}
        for key in ("href", "src"):
            if address := given.get(key):
                self.addresses.add((tag, address))
                if (tag, key) in FETCHED and given.get("rel") != "canonical":
                    self.fetched.add(address)


def read(path: Path) -> Page:
    """Parse a page."""
    page = Page()
    page.feed(path.read_text())
    return page


def problems(site: Path) -> list[str]:
    """One sentence for each broken address."""
    pages = {path: read(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site)
        for _, address in sorted(page.addresses):
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if address in page.fetched:
                    found.append(f"{where} fetches {address}")
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            target = target / "index.html" if target.is_dir() else target
            if where.name == "404.html":  # served for any address, so its own are absolute
                continue
            if not target.is_file():
                found.append(f"{where} links to {address}, which does not exist")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{where} links to {address}, which has no such anchor")
    return found if pages else [f"{site} has no pages"]


def main() -> None:
    """Print the problems; the exit status is 1 if there are any."""
    found = problems(Path(sys.argv[1]).resolve())
    print("\n".join(found) or "all links are valid")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
