"""Notebooks as pages, and the check of the built site."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from check_site import problems
from notebook_pages import notebook_page


def code(source: str, *outputs: dict[str, Any]) -> dict[str, Any]:
    return {"cell_type": "code", "source": source.splitlines(keepends=True), "outputs": list(outputs)}


def test_a_notebooks_page_shows_what_its_cells_left() -> None:
    picture = base64.b64encode(b"pixels").decode()
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "Words."]},
        code("print(1)\n2", {"output_type": "stream", "text": ["\x1b[31m1\x1b[0m\n"]},
             {"output_type": "execute_result", "data": {"text/plain": ["2"], "text/html": ["<b>2</b>"]}}),
        code("draw()", {"output_type": "display_data", "data": {"image/png": picture, "text/plain": ["<Figure>"]}}),
        code("", {"output_type": "stream", "text": "left out"}),
        code("x = '```'"),
        code("helper = 1") | {"metadata": {"tags": ["hide-input"]}},
    ]  # fmt: skip
    page, pictures = notebook_page(json.dumps({"cells": cells}), "note")
    assert page.startswith("# Title\nWords.\n\n```python\nprint(1)\n2\n```\n\n```text\n1\n```\n\n<div")
    assert "<b>2</b>" in page and "left out" not in page and "<Figure>" not in page
    assert "![Output of the cell above](note/0.png)" in page
    assert pictures == {"note/0.png": b"pixels"}
    assert "````python\nx = '```'\n````" in page
    assert '<details markdown="1"><summary>Code</summary>\n\n```python\nhelper = 1\n```\n\n</details>' in page


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<a href='gone.html'>", "index.html links to gone.html, which does not exist"),
        ("<img src='gone.png'>", "index.html links to gone.png, which does not exist"),
        ("<a href='other.html#gone'>", "index.html links to other.html#gone, which has no such anchor"),
        ("<a href='#gone'>", "index.html links to #gone, which has no such anchor"),
        ("<script src='https://x.org/y.js'></script>", "index.html fetches https://x.org/y.js"),
        ("<a href='other.html#here'><a href='#me' id='me'><a href='https://x.org'><a href='mailto:x@y'>", None),
    ],
)
def test_what_leads_nowhere_is_reported(page: str, message: str | None, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(page)
    (tmp_path / "other.html").write_text("<h1 id='here'>")
    assert problems(tmp_path) == ([message] if message else [])


def test_a_site_without_pages_is_none(tmp_path: Path) -> None:
    assert problems(tmp_path) == [f"{tmp_path} has no pages"]
