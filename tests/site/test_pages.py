"""The pages in docs/ name everything that the library has, and nothing that only contributors need."""

from __future__ import annotations

import re
import tomllib

import pytest
import torch
import yaml
from command_pages import COMMANDS, commands_page, parser_of

from qam_torch import algorithms
from tests.helpers.algorithms import OWN, kind_of, make, make_batch, make_noise
from tests.helpers.docs_pages import DOCS
from tests.helpers.runs import ROOT


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_every_metric_is_in_the_glossary(name: str) -> None:
    algorithm = make(kind_of(name))
    algorithm.configure_optimizers()
    noise = {key: draw[0] for key, draw in make_noise(algorithm).items()}
    report = algorithm.update(make_batch(1, width=algorithm.chunk_dim), noise, diagnose=True)
    metrics = {metric for metric in report if not metric.startswith("loss/")}
    named = set(re.findall(r"`([\w/]+)`", (DOCS / "glossary.md").read_text()))
    assert "critic/loss" in metrics and metrics - named == set()
    assert all(isinstance(report[metric], torch.Tensor) for metric in metrics)


def test_the_api_pages_have_every_algorithm() -> None:
    page = (DOCS / "api" / "algorithms.md").read_text()
    assert {name for name in algorithms.__all__ if not re.search(rf"\b{name}\b", page)} == set()


def test_the_page_of_commands_has_every_command_and_option() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == {"qam-train", *COMMANDS}
    page, table = (DOCS / "commands.md").read_text(), commands_page()
    assert {name for name in scripts if f"| `{name}` |" not in page} == set()
    assert "| `--episodes N` | episodes of each member, >= 1 (default 50) |" in table
    assert "### qam-data generate" in table and "qam-data list [PATTERN] [options]" in table
    options = {option for name in COMMANDS for option in parser_of(name)._option_string_actions if option[:2] == "--"}
    assert {option for option in options - {"--help"} if f"| `{option}" not in table} == set()


def test_bug_reports_ask_for_the_output_of_the_doctor() -> None:
    forms = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")}
    required = {
        name: {part["id"] for part in form["body"] if part.get("validations", {}).get("required")}
        for name, form in forms.items()
    }
    assert {"doctor"} <= required["bug"] and {"doctor"} <= required["results"]
    assert "qam-doctor" in str(forms["bug"]["body"])


def test_the_citation_names_the_license_and_the_papers() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["license"]
    papers = [citation["preferred-citation"], *citation["references"]]
    assert {paper["title"].partition(":")[0] for paper in papers} >= {
        "Q-learning with Adjoint Matching",
        "Reversal Q-Learning",
    }


def test_pages_of_users_name_no_tests() -> None:
    pages = [*DOCS.rglob("*.md"), ROOT / "README.md"]
    assert {page.name for page in pages if re.search(r"tests/[\w/]+\.py", page.read_text())} == set()


def test_equations_have_no_backslash_before_punctuation() -> None:
    """Renderers of Markdown, such as GitHub's, remove it: a thin space becomes a comma, a norm an absolute value."""
    for page in [ROOT / "README.md", *DOCS.rglob("*.md")]:
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
        for equation in re.findall(r"\$\$.*?\$\$|\$[^$\n]+\$", prose, flags=re.DOTALL):
            assert not re.search(r"\\[,;:!|]", equation), (page.name, equation)
