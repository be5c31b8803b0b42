"""The pages in docs/ as tests read them."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page: str) -> list[tuple[str, str]]:
    """The fenced blocks of a page: (language, text), in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def files(page: str) -> dict[str, str]:
    """Path -> text of the blocks that follow a line with nothing but a file's name in backquotes."""
    text = (DOCS / page).read_text()
    return dict(re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def commands(path: Path) -> list[str]:
    """The lines of a page's bash blocks, continued lines joined; without blocks marked by <!-- not run: reason -->."""
    found = re.findall(r"(<!-- not run: .+ -->\n+)?^```bash\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    lines = (line for mark, text in found if not mark for line in text.replace("\\\n", " ").splitlines())
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def write_files(page: str, directory: Path) -> None:
    """Write the page's files below a directory."""
    for name, text in files(page).items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)
