"""Each diagram was drawn from its present source; that of the packages from the contracts of pyproject.toml."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from diagrams import digest
from inv_temp_figure import digest_of_file
from packages_figure import contents
from population_figure import times

from tests.helpers.runs import ROOT


def description(name: str) -> str:
    """What a diagram was drawn from."""
    found = ET.parse(ROOT / "docs" / "images" / f"{name}.svg").find(".//{http://purl.org/dc/elements/1.1/}description")
    assert found is not None and found.text
    return found.text


def test_the_diagram_has_the_contracts_of_today() -> None:
    assert json.loads(description("packages")) == contents(), "run python scripts/packages_figure.py"


def test_the_diagram_of_populations_has_the_times_of_the_table() -> None:
    assert times()["small"].keys() == {"1", "4", "12"}
    assert json.loads(description("population_time")) == times(), "run python scripts/population_figure.py"


def test_the_figure_of_inv_temp_has_the_successes_of_the_file() -> None:
    assert description("inv_temp") == digest_of_file(), "run python scripts/inv_temp_figure.py"


@pytest.mark.parametrize("name", ["chunk", "data_flow", "methods"])
def test_a_diagram_was_drawn_by_the_present_script(name: str) -> None:
    script = ROOT / "scripts" / f"{name}_figure.py"
    assert description(name) == digest(str(script)), f"run python scripts/{name}_figure.py"


def test_every_diagram_is_compared_with_its_source() -> None:
    drawn = {path.stem for path in (ROOT / "docs" / "images").glob("*.svg")}
    assert drawn == {"chunk", "data_flow", "inv_temp", "methods", "packages", "population_time"}


def test_the_table_of_lines_has_the_layers() -> None:
    rows = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("| line | packages |")[2].splitlines()[2:17]
    table = [row.split("|")[2].strip().split(", ") for row in rows]
    assert table == contents()["layers"]
