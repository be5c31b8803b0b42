"""The table of docs/theory.md is that of the committed shares."""

from __future__ import annotations

import csv
from pathlib import Path

from discretizations import DISCRETIZATIONS, table

DOCS = Path(__file__).parents[2] / "docs"


def test_the_table_is_that_of_the_csv() -> None:
    with (DOCS / "files" / "discretizations.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["discretization"] for row in rows} == set(DISCRETIZATIONS)
    assert len({row["seed"] for row in rows}) == 3
    assert table(rows) in (DOCS / "theory.md").read_text(encoding="utf-8")
