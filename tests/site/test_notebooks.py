"""The notebooks in notebooks/ match their sources, and their outputs come from one complete run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import build_notebooks
import nbformat
import pytest
from build_notebooks import NOTEBOOKS, names, stale, written

SOURCE = (
    "# %% [markdown]\n# # Title\n#\n# Words.\n\n# %%\nx = 1\n\n\ndef f():\n    # %% is no cell here\n    return x\n"
    "\n# %% [hidden]\ny = 2\n"
)


def test_each_notebook_has_a_source() -> None:
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(names())


@pytest.mark.parametrize("name", names())
def test_a_notebooks_outputs_belong_to_its_source(name: str) -> None:
    assert stale(name) == ""


def test_a_source_as_a_notebook(folder: Path) -> None:
    text, code, hidden = written("one").cells
    assert (text.cell_type, text.source) == ("markdown", "# Title\n\nWords.")
    assert (code.cell_type, code.source) == ("code", SOURCE.partition("# %%\n")[2].partition("\n\n# %% [")[0])
    assert (hidden.cell_type, hidden.source, hidden.metadata["tags"]) == ("code", "y = 2", ["hide-input"])
    assert hidden.metadata["jupyter"] == {"source_hidden": True} and code.metadata == {}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, ""),
        ({"source": "x = 2"}, "scripts/notebooks/one.py has changed"),
        ({"shown": True}, "scripts/notebooks/one.py has changed"),
        ({"execution_count": None}, "it was not run from its first to its last cell"),
        ({"text": "UserWarning: old"}, "its outputs contain 'UserWarning'"),
        ({"text": "saved to /root/runs/1\n"}, "its outputs contain '/root/runs/1\\n'"),
        ({"text": "saved to runs/root/1, <b>see</b> https://x.org/tmp/1, 1/2/3"}, ""),
    ],
)
def test_what_makes_a_notebook_stale(change: dict[str, Any], why: str, folder: Path) -> None:
    notebook = written("one")
    cell, hidden = notebook.cells[1:]
    cell.execution_count = change.get("execution_count", 1)
    cell.source = change.get("source", cell.source)
    cell.outputs = [nbformat.v4.new_output("stream", text=change.get("text", "1"))]
    hidden.execution_count = 2
    hidden.metadata = {} if "shown" in change else hidden.metadata
    assert stale("one") == "it does not exist"
    nbformat.write(notebook, folder / "one.ipynb")
    assert stale("one") == why


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with one source, where its notebook goes, too."""
    (tmp_path / "one.py").write_text(SOURCE)
    monkeypatch.setattr(build_notebooks, "SOURCES", tmp_path)
    monkeypatch.setattr(build_notebooks, "NOTEBOOKS", tmp_path)
    return tmp_path
