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


def test_ancestral_steps_with_midpoint_leave_a_tenth_at_ten_evaluations() -> None:
    with (DOCS / "files" / "discretizations.csv").open(encoding="utf-8") as file:
        found = [row for row in csv.DictReader(file) if row["evaluations"] == "10"]
    ours = [
        float(row["share"]) for row in found if row["discretization"] == "ancestral" and row["solver"] == "midpoint"
    ]
    assert len(ours) == 6 and max(ours) <= 0.10
