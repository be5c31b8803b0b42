"""Write and run the notebooks.

    python scripts/build_notebooks.py                        # all of them
    python scripts/build_notebooks.py adjoint_matching_2d    # one
    python scripts/build_notebooks.py --check                # run none; check that those in notebooks/ are up to date

Each notebook is written from scripts/notebooks/NAME.py. `# %%` starts a code cell, `# %% [hidden]` a code cell whose
source is collapsed, and `# %% [markdown]` a text cell, whose lines are comments. The notebook is run in notebooks/, as
the tests run it, and saved there with its outputs.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SOURCES, NOTEBOOKS = ROOT / "scripts" / "notebooks", ROOT / "notebooks"
UNWANTED = re.compile(r"\w*Warning\b|(?<![\w.:/<])/\w[\w.-]*/[^\s\"']*")
"""What no output may contain: warnings, and paths of the machine that ran the notebook."""
# jupytext is not used: it splits a function at an indented `# %%`.
CELL = re.compile(r"^# %%(?: \[(markdown|hidden)\])?\n", re.MULTILINE)
HIDDEN = {"tags": ["hide-input"], "jupyter": {"source_hidden": True}}
"""Metadata of a code cell whose source is collapsed."""


def names() -> list[str]:
    """Names of all notebooks."""
    return sorted(path.stem for path in SOURCES.glob("*.py"))


def written(name: str) -> nbformat.NotebookNode:
    """The notebook of a source, without outputs."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    _, *pieces = CELL.split((SOURCES / f"{name}.py").read_text())
    for number, (kind, body) in enumerate(zip(pieces[::2], pieces[1::2], strict=True)):
        if kind == "markdown":
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines())
            cell = nbformat.v4.new_markdown_cell(text)
        else:
            cell = nbformat.v4.new_code_cell(body.strip(), metadata=HIDDEN if kind == "hidden" else {})
        cell.id = f"{name.replace('_', '-')}-{number}"
        notebook.cells.append(cell)
    return notebook


def run(notebook: nbformat.NotebookNode) -> None:
    """Run it in notebooks/, and remove what differs from run to run."""
    NotebookClient(notebook, timeout=600, coalesce_streams=True, resources={"metadata": {"path": NOTEBOOKS}}).execute()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = _without_paths(output.text)
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _smaller(output.data["image/png"])


def _without_paths(text: str) -> str:
    """The text without paths of this machine."""
    return text.replace(f"{NOTEBOOKS}/", "").replace(str(Path.home()), "~")


def stale(name: str) -> str:
    """Reason why notebooks/NAME.ipynb must be rebuilt, or ""."""
    path, fresh = NOTEBOOKS / f"{name}.ipynb", written(name)
    if not path.exists():
        return "it does not exist"
    saved = nbformat.read(path, nbformat.NO_CONVERT)
    if [_content(one) for one in saved.cells] != [_content(one) for one in fresh.cells]:
        return f"scripts/notebooks/{name}.py has changed"
    code = [one for one in saved.cells if one.cell_type == "code"]
    if [one.execution_count for one in code] != list(range(1, len(code) + 1)):
        return "it was not run from its first to its last cell"
    outputs = json.dumps([one.outputs for one in code])
    found = UNWANTED.search(re.sub(r'"image/png": "[^"]*"', "", outputs))
    return f"its outputs contain '{found[0]}'" if found else ""


def _content(cell: nbformat.NotebookNode) -> tuple[str, str, str, bool]:
    """Everything of a cell that comes from its source."""
    return cell.id, cell.cell_type, cell.source, "hide-input" in cell.metadata.get("tags", [])


def _smaller(picture: str) -> str:
    """A PNG in a palette of 128 colors: a third of the bytes, without a visible difference."""
    image, file = Image.open(io.BytesIO(base64.b64decode(picture))), io.BytesIO()
    image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def main() -> None:
    """Write, run and save, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=names(), metavar="NAME", help="default: all of them")
    parser.add_argument("--check", action="store_true", help="run none; list the notebooks that must be rebuilt")
    options = parser.parse_args()
    if options.check:
        reasons = [f"{name}.ipynb: {why}" for name in options.names if (why := stale(name))]
        sys.exit("\n".join(reasons) or 0)
    for name in options.names:
        notebook, start, path = written(name), time.perf_counter(), NOTEBOOKS / f"{name}.ipynb"
        run(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
