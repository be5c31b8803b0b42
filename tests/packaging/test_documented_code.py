"""The Python code of README and of the pages about policies, populations, reports, configuration and theory runs."""

from __future__ import annotations

import json
import os
import re
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.training import summary
from tests.helpers.docs_pages import DOCS, blocks
from tests.helpers.runs import TINY, shorten_episodes, unrecorded

WHERE = "runs/..."
"""The directory that the pages name where a reader has a run."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, data_directory: Path) -> Path:
    """A directory with the run of 24 members that docs/populations.md addresses."""
    directory = tmp_path_factory.mktemp("project")
    grid = ("seeds=[1,2,3]", "population.inv_temp=[0.3,1,3,10]", "population.edit_scale=[0,0.1]")
    brief = ("offline_steps=2", "eval_every=2", "eval_episodes=1", "log_every=2", "checkpoint_every=2", "logger=csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr(Algorithm, "update", unrecorded)
        patch.setattr(summary, "save_plots", lambda *_: [])
        shorten_episodes(patch.setattr)
        words = ("algo=qam_e", *TINY, *grid, *brief, f"data.directory={data_directory}", f"run_dir={WHERE}")
        qam_torch.fit(qam_torch.compose(words))
    return directory


@pytest.fixture
def scope(project: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(project)
    shorten_episodes(monkeypatch.setattr)
    return {"qam_torch": qam_torch}


def code(page: str) -> str:
    found = [text for language, text in blocks(page) if language == "python"]
    assert found
    return "\n".join(found)


@pytest.fixture
def first_member(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `load_policy` load the first member; the runs of README and quickstart have one member."""
    monkeypatch.setattr(qam_torch, "load_policy", partial(qam_torch.load_policy, member=0), raising=False)


@pytest.mark.usefixtures("first_member")
def test_quickstart(scope: dict[str, Any]) -> None:
    exec(code("quickstart.md"), scope)
    assert scope["done"] and scope["reward"] in (-1.0, 0.0)


@pytest.mark.usefixtures("first_member")
def test_readme(scope: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    configs = []

    def fit(config: Any) -> SimpleNamespace:
        configs.append(config)
        return SimpleNamespace(directory=Path(WHERE))

    monkeypatch.setattr(qam_torch, "fit", fit, raising=False)
    exec(code("../README.md"), scope)
    assert [config.seed for config in configs] == [3] and scope["done"]
    assert capsys.readouterr().out.startswith("success: ")


def test_populations(scope: dict[str, Any]) -> None:
    exec(code("populations.md"), scope)
    assert scope["policy"].algorithm.seeds == (3,)


def test_configuration(scope: dict[str, Any]) -> None:
    exec(code("configuration.md"), scope)
    assert (scope["config"].algo_name, scope["config"].task) == ("qam_e", 2)


def test_report(scope: dict[str, Any]) -> None:
    os.makedirs("runs", exist_ok=True)
    exec(code("report.md"), scope)
    assert Path("report/report.html").is_file()
    assert scope["curve"].at(1_000_000).offline_updates == 1_000_000


def test_theory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the success by seed of the runs on the maze, the interval is the printed one."""
    runs = {"shifted": [1.0] * 9 + [0.0], "ancestral": [1.0] * 8 + [0.0] * 2}
    for name, success in runs.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(json.dumps({"final": {"success_by_seed": success}}))
    monkeypatch.setattr(sys, "argv", ["script", *(str(tmp_path / name) for name in runs)])
    exec(code("theory.md"), {})
    assert re.findall(r"(?:low|high)=\S*?(-?0\.\d\d)", capsys.readouterr().out) == ["-0.58", "0.38"]


def test_the_code_of_every_page_is_run_somewhere() -> None:
    here = {"quickstart.md", "populations.md", "configuration.md", "report.md", "theory.md"}
    elsewhere = {
        "add-a-method.md",
        "bring-your-own-data.md",
        "export.md",
        "extend.md",
    }  # tests/extending, suites, export
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert {page for page in pages if any(language == "python" for language, _ in blocks(page))} == here | elsewhere
