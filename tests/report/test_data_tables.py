"""The tables for other programs hold every evaluation and every result."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from qam_torch.cli.report import main
from qam_torch.report import data_tables
from tests.helpers.made_up_runs import make_run


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_evaluation_is_a_row(written: Path) -> None:
    rows = rows_of(written / "evaluations.csv")
    assert len(rows) == 5 * 30 * 3 + 14 * 2 + 3
    one = [row for row in rows if row["method"] == "qam" and row["task"] == "2" and row["seed"] == "3"][-1]
    expected = {
        "status": "finished", "counted": "True", "experiment": "default", "env": "cube-double-play-v0",
        "domain": "cube-double-play", "cell": "qam", "phase": "online", "step": "1500000", "offline_updates": "1000000",
        "online_steps": "500000", "updates": "1500000.0", "success": "0.81", "return": "-1.0", "episodes": "50",
    }  # fmt: skip
    assert {name: one[name] for name in expected} == expected


def test_parquet_holds_the_same(written: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(written / "evaluations.parquet").to_pylist()
    rows = rows_of(written / "evaluations.csv")
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in table] == rows


def test_without_pyarrow_there_is_no_parquet_and_all_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path / "runs")
    monkeypatch.setattr(data_tables, "find_spec", lambda name: None)
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"report.html", "report.md", "report.tex", "evaluations.csv", "figures.csv", "figures"}


def test_figures_for_programs_have_the_published_ones_beside_them(written: Path) -> None:
    rows = rows_of(written / "figures.csv")
    ends = {row["online_steps"]: row for row in rows if (row["level"], row["algo"]) == ("domain", "qam")}
    assert ends["0"]["published_success"] == "0.642" and ends["0"]["overlap"] == ""
    assert float(ends["500000"]["mean"]) == pytest.approx(0.79)
    assert float(ends["500000"]["difference"]) == pytest.approx(0.79 - 0.9973)
    assert {row["level"] for row in rows} == {"domain", "task"}
