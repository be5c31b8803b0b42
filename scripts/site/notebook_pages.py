"""Notebooks as pages: text, code and outputs, as committed.

mkdocs-jupyter is not used: its pages load scripts from a CDN, are twenty times as large, and bypass the hooks that
rewrite links and turn equations into MathML.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["notebook_page"]

ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def notebook_page(text: str, name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook's file as Markdown.

    text  of the .ipynb file
    name  of the directory, beside the page, that its pictures go to
    ->    Markdown, and the pictures by their path beside the page
    """
    pictures: dict[str, bytes] = {}
    parts: list[str] = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        elif cell["cell_type"] == "code" and source.strip():
            hidden = "hide-input" in cell.get("metadata", {}).get("tags", [])
            parts.append(_fenced(source, "python") if not hidden else _collapsed(source))
            for output in cell["outputs"]:
                parts += _output(output, f"{name}/{len(pictures)}.png", pictures)
    return "\n\n".join(parts) + "\n", pictures


def _output(output: dict[str, Any], picture: str, pictures: dict[str, bytes]) -> Iterator[str]:
    """What a cell has printed, returned or drawn, in the richest format available: pictures before text."""
    data = {"text/plain": output["text"]} if output["output_type"] == "stream" else output.get("data", {})
    if "image/png" in data:
        pictures[picture] = base64.b64decode("".join(data["image/png"]))
        yield f"![Output of the cell above]({picture})"
    elif "text/markdown" in data:
        yield "".join(data["text/markdown"])
    elif "text/html" in data:
        yield '<div class="notebook-output" markdown="0">' + "".join(data["text/html"]) + "</div>"
    elif "text/plain" in data:
        yield _fenced(ESCAPES.sub("", "".join(data["text/plain"])).rstrip(), "text")


def _collapsed(source: str) -> str:
    return f'<details markdown="1"><summary>Code</summary>\n\n{_fenced(source, "python")}\n\n</details>'


def _fenced(text: str, language: str) -> str:
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"`{3,}", text)), 3)
    return f"{fence}{language}\n{text}\n{fence}"
