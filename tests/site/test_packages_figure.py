"""The diagram of the packages shows the contracts of pyproject.toml."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

from packages_figure import contents

from tests.helpers.runs import ROOT


def test_the_diagram_has_the_contracts_of_today() -> None:
    drawn = ET.parse(ROOT / "docs" / "images" / "packages.svg").find(".//{http://purl.org/dc/elements/1.1/}description")
    assert drawn is not None and json.loads(drawn.text or "") == contents(), "run python scripts/packages_figure.py"


def test_the_table_of_lines_has_the_layers() -> None:
    rows = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("| line | packages |")[2].splitlines()[2:15]
    table = [row.split("|")[2].strip().split(", ") for row in rows]
    assert [["train"], *table] == contents()["layers"]
