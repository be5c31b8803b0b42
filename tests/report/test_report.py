"""`qam-report`: what it writes, what it tells, and that its page needs nothing else."""

from __future__ import annotations

import csv
import json
import re
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from qam_torch.cli.report import main
from qam_torch.report.blocks import Heading, Interval, Table, Text
from qam_torch.report.html import html
from qam_torch.report.latex import escaped, latex
from qam_torch.report.markdown import markdown
from qam_torch.training.fit import RunResult
from tests.helpers.made_up_runs import make_run
from tests.helpers.runs import Command, one_sentence


@pytest.fixture(scope="module")
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


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_every_evaluation_is_a_row(written: Path) -> None:
    rows = rows_of(written / "evaluations.csv")
    assert len(rows) == 5 * 30 * 3 + 14 * 2 + 3
    one = [row for row in rows if row["method"] == "qam" and row["task"] == "2" and row["seed"] == "3"][-1]
    expected = {
        "status": "finished", "counted": "True", "experiment": "train", "env": "cube-double-play-v0",
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
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"report.html", "report.md", "report.tex", "evaluations.csv", "figures.csv", "figures"}


def test_figures_for_programs_have_the_published_ones_beside_them(written: Path) -> None:
    rows = rows_of(written / "figures.csv")
    ends = {row["online_steps"]: row for row in rows if (row["level"], row["algo"]) == ("domain", "qam")}
    assert ends["0"]["published_success"] == "0.642" and ends["0"]["overlap"] == "False"
    assert float(ends["500000"]["mean"]) == pytest.approx(0.79)
    assert float(ends["500000"]["difference"]) == pytest.approx(0.79 - 0.9973)
    assert {row["level"] for row in rows} == {"domain", "task"}


def test_what_is_broken_unfinished_or_missing_is_in_every_document(written: Path) -> None:
    for name in ("report.md", "report.tex", "report.html"):
        text = (written / name).read_text().replace(r"\_", "_").replace(r"\allowbreak{}", "")
        assert "12 runs: 10 finished, 1 unfinished, 1 broken; " in text
        for told in ("has no header", "it was to make 100,000 updates", "fql on cube-double-play, task 3: seed 3"):
            assert told in text, (name, told)


def test_the_terminal_has_a_line_for_each_method(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(written.parent / "runs"), "--out", str(written)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("12 runs: 10 finished") and lines[-1] == f"report: {written}/report.html"
    told = "cube-double-play  qam  after 1M updates + 500k steps  success 0.79 [0.78, 0.80]  published 1.00"
    assert any(line.startswith(told) for line in lines)


# The page


class Page(HTMLParser):
    """Collects identifiers, what is referred to, and whether tags are closed."""

    VOID = ("meta", "link", "img", "br", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "data", "srcset"):
                self.references.append((tag, value or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_fetches_nothing(written: Path) -> None:
    text = (written / "report.html").read_text()
    page = Page(text)
    assert page.open == [] and len(page.ids) == len(set(page.ids))
    for tag, reference in page.references:
        assert reference.startswith("#") or (tag == "a" and reference.startswith("https://arxiv.org/"))
        assert not reference.startswith("#") or reference[1:] in page.ids
    assert "<script" not in text and "@import" not in text
    assert {match for match in re.findall(r"url\(([^)]*)\)", text) if not match.startswith("#")} == set()
    for reference in re.findall(r"url\(#([^)]*)\)", text):
        assert reference in page.ids


def test_plots_are_in_the_pages_colours_and_well_formed(written: Path) -> None:
    text = (written / "report.html").read_text()
    plots = re.findall(r'<div class="panel">.*?(<svg.*?</svg>)', text, re.DOTALL)
    assert len(plots) == 7  # the domain, its five tasks, the profiles
    for plot in plots:
        ElementTree.fromstring(plot.replace("xlink:href", "href"))
        assert "var(--ink)" in plot and "#333333" not in plot and "#ffffff" not in plot
    assert "prefers-color-scheme: dark" in text


def test_published_curves_are_dashed_in_the_colour_of_the_own_ones(written: Path) -> None:
    text = (written / "report.html").read_text()
    domain = re.findall(r'<div class="panel">.*?(<svg.*?</svg>)', text, re.DOTALL)[0]
    lines = re.findall(r'<path d="[^"]*" clip-path[^>]*style="([^"]*)"', domain, re.DOTALL)
    colours = [(style, color) for style in lines for color in re.findall("stroke: (#.{6})", style)]
    own = {color for style, color in colours if "dasharray" not in style}
    dashed = {color for style, color in colours if "dasharray: 4.8" in style}
    assert len(dashed) == 2 and dashed < own  # qam and fql; dac was run on one task only


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


def test_latex_tables_are_closed_and_have_as_many_cells_as_columns(written: Path) -> None:
    text = (written / "report.tex").read_text()
    for name in ("table", "tabular", "longtable", "document"):
        assert text.count(rf"\begin{{{name}}}") == text.count(rf"\end{{{name}}}")
    for rules in (r"\toprule", r"\bottomrule"):
        assert text.count(rules) == text.count(r"\caption{")
    for body in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.DOTALL):
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len({len(re.findall(r"(?<!\\)&", row)) for row in rows}) == 1


def test_markdown_tables_are_rectangular_and_its_pictures_there(written: Path) -> None:
    text = (written / "report.md").read_text()
    for table in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert len(pictures) == 2
    assert all((written / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


# The command


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


def test_runs_of_which_none_was_evaluated_make_a_report_that_says_so(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    (run / "metrics.csv").unlink()
    assert main([str(tmp_path / "runs"), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "report.md").read_text()
    assert "1 run: 1 broken." in text and "it was not evaluated once" in text
    assert (tmp_path / "out" / "evaluations.csv").read_text().strip() == ""


def test_a_real_run_is_reported_without_torch(finished: RunResult, command: Command, tmp_path: Path) -> None:
    code = "from qam_torch.cli import report; report.main(sys.argv[1:]); assert 'torch' not in sys.modules"
    done = command("-c", f"import sys; {code}", str(finished.directory), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 run: 1 finished.\npointmaze-medium-navigate  qam  after 40 updates  success ")
    final = json.loads((finished.directory / "summary.json").read_text())["final"]["success"]
    assert float(rows_of(tmp_path / "out" / "figures.csv")[0]["mean"]) == pytest.approx(final)


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
