"""Every command in the fenced blocks of README and docs/ is understood, and every run of a `qam-train` is composed."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_pages import COMMANDS, parser_of

from qam_torch.config.command_line import parse_command_line
from qam_torch.training.settings import read_settings
from qam_torch.types import QamError
from tests.helpers.docs_pages import DOCS, commands, files, write_files
from tests.helpers.runs import ROOT

PAGES = [path.relative_to(DOCS).as_posix() for path in sorted(DOCS.rglob("*.md")) if commands(path)]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory from which Python imports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def understand(line: str) -> None:
    """Parse a command; raises QamError or SystemExit for a wrong one."""
    words = shlex.split(line, comments=True)
    while "=" in words[0]:  # variables of the environment
        words = words[1:]
    program, *arguments = words
    if program == "qam-train":
        parse_command_line(arguments, lambda config: read_settings(config) and None)
    elif program in COMMANDS:
        parser_of(program).parse_args(arguments)
    else:
        assert not program.startswith("qam-"), f"{program} is not a command"


@pytest.mark.slow
@pytest.mark.parametrize("page", [*PAGES, "README.md"])
def test_commands_are_understood(page: str, project: Path) -> None:
    path = ROOT / page if page == "README.md" else DOCS / page
    if path.parent == DOCS and files(page):
        write_files(page, project)
    wrong = []
    for line in commands(path):
        try:
            understand(line)
        except QamError as error:
            wrong.append(f"{line}: {error}")
    assert wrong == []


def test_most_pages_have_commands() -> None:
    assert len(PAGES) > 15
    assert sum(len(commands(DOCS / page)) for page in PAGES) > 70


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("qam-train algo=qam algo.inv_tmp=3", "unknown key 'algo.inv_tmp'"),
        ("qam-train -m seed=1,2 algo=qam,qma", "unknown algo 'qma'"),
        ("qam-train algo.inv_temp=-1", "inv_temp"),
        ("OMP_NUM_THREADS=1 qam-eval runs/1 --epsodes 100", "did you mean --episodes"),
    ],
)
def test_wrong_commands_are_found(line: str, reason: str, project: Path) -> None:
    with pytest.raises(QamError, match=re.escape(reason)):
        understand(line)


def test_commands_of_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```bash\nqam-train a=1 \\\n    b=2  # why\nmake test\n\n```\n"
        "<!-- not run: an hour -->\n```bash\nqam-train c=3\n```\n```text\nqam-train d=4\n```\n"
    )
    assert commands(page) == ["qam-train a=1      b=2  # why", "make test"]
