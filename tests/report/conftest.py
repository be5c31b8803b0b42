"""A report that the tests of its files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from qam_torch.cli.report import main
from tests.helpers.made_up_runs import make_run


@pytest.fixture(scope="package")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of runs of two methods, offline and online, one of them broken and one unfinished."""
    root = tmp_path_factory.mktemp("report")
    for task in range(1, 6):
        phases = {"offline": 1_000_000, "online": 500_000}
        make_run(root / "runs", task=task, success=lambda seed, step: step / 2e6 + seed / 50, **phases)
        make_run(root / "runs", task=task, algo="fql", seeds=(1, 2) if task == 3 else (1, 2, 3))
    broken = make_run(root / "runs", task=1, algo="dsrl")
    (broken / "metrics.csv").write_text("a,b\n")
    make_run(root / "runs", task=1, algo="dac", finished=False, reached=50_000)
    assert main([str(root / "runs"), "--out", str(root / "out")]) == 0
    return root / "out"
