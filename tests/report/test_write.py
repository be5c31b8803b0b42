"""A report's files agree, whatever is broken."""

from __future__ import annotations

import csv
import re
import time
from pathlib import Path

import pytest

from qam_torch.cli.report import main
from qam_torch.report.blocks import Heading, Interval, Table, Text
from qam_torch.report.render import escaped, html, latex, markdown
from tests.helpers.html_page import Page
from tests.helpers.made_up_runs import make_run


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_what_is_broken_unfinished_or_missing_is_in_every_document(written: Path) -> None:
    for name in ("report.md", "report.tex", "report.html"):
        text = (written / name).read_text().replace(r"\_", "_").replace(r"\allowbreak{}", "")
        assert "12 runs: 10 finished, 1 unfinished, 1 broken; " in text
        for message in ("has no header", "planned: 100,000 updates", "fql on cube-double-play, task 3: seed 3"):
            assert message in text, (name, message)


def test_text_from_runs_is_text_in_every_document() -> None:
    hostile = 'a<b>&"|$%_#{}~^\\ [x]'
    blocks = [Heading(hostile), Text([hostile]), Table(["n>", "why"], [[Interval("[1]"), hostile]], hostile, "t")]
    page = Page(html(blocks, hostile))
    assert page.open == [] and "<b>" not in html(blocks, hostile)
    assert r"a<b>&\"\|$%_#{}" in markdown(blocks, "p").replace('&"', '&\\"')
    assert escaped(hostile) in latex(blocks)
    plain = re.sub(r"\\text\w+\{\}|\\[$%_#{}&]|\{\}", "", escaped(hostile))
    assert not set(plain) & set('$%_#{}~^\\&<>|"')
    assert r"{}[1] & " in latex(blocks)  # not an option of \midrule


def test_runs_of_which_none_was_evaluated_make_a_report_that_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    (run / "metrics.csv").unlink()
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "report.md").read_text()
    assert "1 run: 1 broken." in text and "it has no evaluation" in text
    assert (tmp_path / "out" / "evaluations.csv").read_text().strip() == ""


@pytest.mark.slow
def test_hundreds_of_runs_take_seconds(tmp_path: Path) -> None:
    """300 runs of 1 500 logged rows with the metrics of a real one, processor time as others may use the machine."""
    run = make_run(tmp_path / "1", offline=1_000_000, seeds=(1,), name="run")
    config, metrics = (run / "config.yaml").read_text(), (run / "metrics.csv").read_text()
    header, *evaluated = metrics.replace(",1,1.0,", ",SEED,1.0,").splitlines()
    logged = "1000,offline,1000,SEED,1.0,,,," + ",0.1234567890123456" * 24
    lines = [
        header + "".join(f",critic/{i}" for i in range(24)),
        *[logged] * 1500,
        *[row + "," * 24 for row in evaluated],
    ]
    for seed in range(2, 301):
        other = tmp_path / str(seed)
        other.mkdir()
        (other / "config.yaml").write_text(config.replace("task: 1\n", f"task: {seed % 5 + 1}\n"))
        (other / "metrics.csv").write_text("\n".join(lines).replace("SEED", str(seed)))
    started = time.process_time()
    assert main([str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert time.process_time() - started < 20
    assert len(rows_of(tmp_path / "out" / "evaluations.csv")) == 300 * 20
