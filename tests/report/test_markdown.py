"""Markdown tables are rectangular, and their figures exist."""

from __future__ import annotations

import re
from pathlib import Path


def test_markdown_tables_are_rectangular_and_its_pictures_there(written: Path) -> None:
    text = (written / "report.md").read_text()
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(pictures) == 2
    assert all((written / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)
