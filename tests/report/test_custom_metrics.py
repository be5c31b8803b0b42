"""Custom evaluation metrics in a report: a column of the evaluations, and a table of each domain."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from qam_torch.cli.report import main
from tests.helpers.made_up_runs import make_run


def test_a_custom_metric_is_a_column_and_a_table(tmp_path: Path) -> None:
    metrics = {"effort": lambda seed, step: seed + step / 1e5, "smoothness": lambda seed, step: 0.5}
    make_run(tmp_path / "runs", seeds=(1, 3), metrics=metrics)
    make_run(tmp_path / "runs", seeds=(1, 3), algo="fql", metrics={"effort": lambda seed, step: 7.0})
    make_run(tmp_path / "runs", algo="dsrl")
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    report = (tmp_path / "out" / "report.md").read_text()
    table = report[report.index("| method | after | effort | smoothness |") :].splitlines()[:4]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert rows[2:] == [
        ["fql", "100k updates", "7.000 [7.000, 7.000]", "–"],
        ["qam", "100k updates", "3.000 [2.000, 4.000]", "0.500 [0.500, 0.500]"],
    ]
    found = pd.read_csv(tmp_path / "out" / "evaluations.csv")
    assert found[found.method == "qam"]["evaluation/effort"].tolist() == [1.5, 2, 3.5, 4]
    assert found[found.method == "dsrl"]["evaluation/effort"].isna().all()
