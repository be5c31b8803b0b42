"""Every link in the repository's Markdown and notebooks leads to a file that is there, and to a heading of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from links import anchors, links, page_of, repository_path, rewritten

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("tests/**/*.md")]
PACKAGES = [path.name for path in (ROOT / "src" / "qam_torch").iterdir() if path.is_dir() and path.name[0] != "_"]
EXAMPLES = {
    "src/qam_torch/algorithms/awac.py",
    "conf/algo/awac.yaml",
    "conf/algo/emaq.yaml",
    "conf/tuned/EXPERIMENT/awac.yaml",
    "conf/tuned/small/data/ENVIRONMENT/METHOD.yaml",
    "tests/golden/awac.npz",
    "conf/logger/files.yaml",
    "conf/callbacks/watch.yaml",
    "conf/env/table.yaml",
}
"""Files that a reader of docs/add-a-method.md and docs/extend.md makes."""
NAMED = re.compile(
    rf"`((?:src|tests|scripts|conf|docs|benchmarks|notebooks|{'|'.join(PACKAGES)})/[\w./-]+\.\w+)(?:::\w+)?`"
)


def markdown(path: Path) -> str:
    text = path.read_text()
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text, source = markdown(path), path.relative_to(ROOT).as_posix()
    broken = []
    for target in links(text):
        there = path if target.startswith("#") else ROOT / (repository_path(target, source) or "")
        anchor = target.partition("#")[2]
        found = there.is_file() and (not anchor or anchor in anchors(markdown(there)))
        if not found and not re.match(r"https?://", target):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_are_named_are_there(path: Path) -> None:
    homes = (ROOT, ROOT / "src" / "qam_torch")
    named = set(NAMED.findall(markdown(path))) - EXAMPLES
    assert {name for name in named if not any((home / name).exists() for home in homes)} == set()


def test_a_link_as_the_site_has_it() -> None:
    known = {"docs/a.md", "ARCHITECTURE.md", "notebooks/n.ipynb", "scripts/s.py", "docs/images/i.png"}
    text = (
        "[a](a.md#x) ![i](images/i.png) [A](../ARCHITECTURE.md) [n](../notebooks/n.ipynb) [s](../scripts/s.py) "
        "`[a](../a.md)`"
    )
    expected = (
        "[a](a.md#x) ![i](images/i.png) [A](ARCHITECTURE.md) [n](notebooks/n.md) [s](files/scripts/s.py) `[a](../a.md)`"
    )
    assert rewritten(text, "docs/b.md", known.__contains__) == expected
    back = "[a](../docs/a.md) [gone](../docs/gone.md) [web](https://x.org/a.md) [here](#x)"
    assert rewritten(back, "notebooks/n.ipynb", known.__contains__) == back.replace("../docs/a.md", "../a.md")
    assert page_of("notebooks/n.ipynb") == "notebooks/n.md"


def test_code_holds_no_links_and_no_headings() -> None:
    text = "# One, two: `three`\n\n```bash\n# no heading\n[x](y.md)\n```\n\n## Own { #mine }\n`[x](z.md)`\n"
    assert list(links(text)) == []
    assert anchors(text) == {"one-two-three", "mine"}
