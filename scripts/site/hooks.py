"""Hooks of MkDocs: generated pages, links into the repository, equations as MathML."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from code_breaks import with_breaks
from command_pages import commands_page
from config_files import options
from config_pages import group_pages, main_page
from latex2mathml.converter import convert
from links import COPIED, links, page_of, repository_path, rewritten
from mkdocs.structure.files import File, Files
from notebook_pages import notebook_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")
"""Pages in the repository's root."""
KEYS = "<!-- keys of conf/train.yaml -->"
COMMANDS = "<!-- options of the commands -->"
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are not files in docs/, and the files that a page links to."""

    def add(uri: str, content: str | bytes) -> None:
        files.append(File.generated(config, uri, content=content))

    for group, page in group_pages(options(ROOT / "conf")).items():
        add(f"configuration/{group}.md", page)
    for path in PAGES:
        add(path, (ROOT / path).read_text())
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        page, pictures = notebook_page(path.read_text(), path.stem)
        add(f"notebooks/{path.stem}.md", page)
        for name, content in pictures.items():
            add(f"notebooks/{name}", content)
    for path in sorted(_linked(files)):
        add(page_of(path), (ROOT / path).read_bytes())
    return files


def _linked(files: Files) -> set[str]:
    """Files of the repository that pages link to and that are not on the site already."""
    pages = [file for file in files if file.src_uri.endswith(".md")]
    found = {repository_path(target, _source(file.src_uri)) for file in pages for target in links(file.content_string)}
    new = {path for path in found - {None} if page_of(path).startswith(f"{COPIED}/") and (ROOT / path).is_file()}
    return {path for path in new if page_of(path) not in files.src_uris}


def _source(uri: str) -> str:
    """The file of the repository that a page of the site is made from, or would be."""
    if uri.startswith(f"{COPIED}/"):
        return uri.removeprefix(f"{COPIED}/")
    if uri in PAGES:
        return uri
    return uri.removesuffix(".md") + ".ipynb" if uri.startswith("notebooks/") else f"docs/{uri}"


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Generated parts where a page has their marks, and the links as the site has them."""
    if KEYS in markdown:
        markdown = markdown.replace(KEYS, main_page(options(ROOT / "conf")))
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, commands_page())
    return rewritten(markdown, _source(page.file.src_uri), lambda path: (ROOT / path).is_file())


def on_page_content(content: str, page: Any, config: Any, files: Files) -> str:
    """Equations as MathML, which browsers draw by themselves: no script, nothing fetched. Code with its line breaks."""

    def drawn(match: re.Match[str]) -> str:
        return convert(html.unescape(match[2]).strip(), display="block" if match[1] == "div" else "inline")

    return with_breaks(EQUATION.sub(drawn, content))
