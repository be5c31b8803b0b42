"""Write and run the notebooks.

    python scripts/build_notebooks.py                        # all of them
    python scripts/build_notebooks.py adjoint_matching_2d    # one
    python scripts/build_notebooks.py --check                # run none: are those in notebooks/ the present ones?

Each is written from scripts/notebooks/NAME.py: `# %%` begins a cell of code, `# %% [markdown]` one of text, whose
lines are comments. It is run in notebooks/, as the tests run it, and saved there with what it left.
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
"""What no output may hold: warnings, and where things lie on the machine it was made on."""
# Not by jupytext, which splits a function at an indented `# %%` and would save ten lines.
CELL = re.compile(r"^# %%(?P<text> \[markdown\])?\n", re.MULTILINE)


def names() -> list[str]:
    """The notebooks there are."""
    return sorted(path.stem for path in SOURCES.glob("*.py"))


def written(name: str) -> nbformat.NotebookNode:
    """The notebook of a source, without outputs."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    _, *pieces = CELL.split((SOURCES / f"{name}.py").read_text())
    for number, (is_text, body) in enumerate(zip(pieces[::2], pieces[1::2], strict=True)):
        if is_text:
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines())
            cell = nbformat.v4.new_markdown_cell(text)
        else:
            cell = nbformat.v4.new_code_cell(body.strip())
        cell.id = f"{name.replace('_', '-')}-{number}"
        notebook.cells.append(cell)
    return notebook


def run(notebook: nbformat.NotebookNode) -> None:
    """Run it in notebooks/, and leave nothing in it that differs from run to run without need."""
    NotebookClient(notebook, timeout=600, coalesce_streams=True, resources={"metadata": {"path": NOTEBOOKS}}).execute()
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "language_info": {"name": "python"}}
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = _elsewhere(output.text)
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _smaller(output.data["image/png"])


def _elsewhere(text: str) -> str:
    """The text without where things lie on this machine."""
    return text.replace(f"{NOTEBOOKS}/", "").replace(str(Path.home()), "~")


def stale(name: str) -> str:
    """Why notebooks/NAME.ipynb has to be written anew, or ""."""
    path, fresh = NOTEBOOKS / f"{name}.ipynb", written(name)
    if not path.exists():
        return "it is not there"
    saved = nbformat.read(path, nbformat.NO_CONVERT)
    if [(one.id, one.cell_type, one.source) for one in saved.cells] != [
        (one.id, one.cell_type, one.source) for one in fresh.cells
    ]:
        return f"scripts/notebooks/{name}.py has changed"
    code = [one for one in saved.cells if one.cell_type == "code"]
    if [one.execution_count for one in code] != list(range(1, len(code) + 1)):
        return "it was not run from its first to its last cell"
    told = json.dumps([one.outputs for one in code])
    found = UNWANTED.search(re.sub(r'"image/png": "[^"]*"', "", told))
    return f"its outputs hold '{found[0]}'" if found else ""


def _smaller(picture: str) -> str:
    """A PNG in a palette of 128 colors: a third of the bytes, and no difference that one sees."""
    image, file = Image.open(io.BytesIO(base64.b64decode(picture))), io.BytesIO()
    image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def main() -> None:
    """Write, run and save, or check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=names(), metavar="NAME", help="default: all of them")
    parser.add_argument("--check", action="store_true", help="run none; say which have to be written anew")
    options = parser.parse_args()
    if options.check:
        told = [f"{name}.ipynb: {why}" for name in options.names if (why := stale(name))]
        sys.exit("\n".join(told) or 0)
    for name in options.names:
        notebook, start, path = written(name), time.perf_counter(), NOTEBOOKS / f"{name}.ipynb"
        run(notebook)
        nbformat.write(notebook, path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s, {path.stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    main()
