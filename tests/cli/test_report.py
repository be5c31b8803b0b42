"""`qam-report`: what it prints, and its errors."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from qam_torch.cli.report import main
from qam_torch.training.fit import RunResult
from tests.helpers.made_up_runs import make_run
from tests.helpers.runs import Command, one_sentence


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_terminal_has_a_line_for_each_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for task in range(1, 6):
        make_run(tmp_path / "runs", task=task, success=lambda seed, step: step / 2e5 + seed / 50)
    make_run(tmp_path / "runs", task=1, algo="fql")
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("6 runs: 6 finished") and lines[-1] == f"report: {tmp_path}/out/report.html"
    assert lines[1].startswith("cube-double-play  fql  after 100k updates  success 0.50")
    assert lines[2].startswith("cube-double-play  qam  after 100k updates  success 0.54 [0.53, 0.55]  published ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "no directory 'nowhere': give run directories"),
        (["."], "no run in or below '.'"),
        ([], "the following arguments are required: RUNS"),
        (["--what", "."], "unrecognized arguments: --what"),
    ],
)
def test_mistakes_are_one_sentence(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = main(words)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 1
    assert message in one_sentence(capsys.readouterr().err, "qam-report")
    assert not list(tmp_path.iterdir())


def test_a_report_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "runs")
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "file")]) == 1
    assert "give another with --out DIR" in one_sentence(capsys.readouterr().err, "qam-report")


def test_a_real_run_is_reported_without_torch(finished: RunResult, command: Command, tmp_path: Path) -> None:
    code = "from qam_torch.cli import report; report.main(sys.argv[1:]); assert 'torch' not in sys.modules"
    done = command("-c", f"import sys; {code}", str(finished.directory), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 run: 1 finished.\npointmaze-medium-navigate  qam  after 40 updates  success ")
    final = json.loads((finished.directory / "summary.json").read_text())["final"]["success"]
    assert float(rows_of(tmp_path / "out" / "figures.csv")[0]["mean"]) == pytest.approx(final)
