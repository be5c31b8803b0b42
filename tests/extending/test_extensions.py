"""Loggers, callbacks, evaluation metrics, plots and suites from outside the library, as on the page about them."""

from __future__ import annotations

import csv
import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers.logger import DummyLogger

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.cli.evaluate import main as evaluate_main
from qam_torch.cli.report import main as report_main
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.training import summary
from tests.helpers.docs_pages import blocks, files, write_files
from tests.helpers.runs import TINY, one_sentence, unrecorded

Train = Callable[..., int]

PAGE = "extend.md"
FILES = files(PAGE)
COMMANDS = {
    line.partition("run_name=")[2]: shlex.split(line)[1:]
    for language, text in blocks(PAGE)
    if language == "bash"
    for line in text.splitlines()
}
(SCRIPT,) = [text for language, text in blocks(PAGE) if language == "python" and text not in FILES.values()]
BRIEF = [
    *(word for word in TINY if "horizon" not in word and "experiment" not in word),
    "offline_steps=20",
    "eval_episodes=1",
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The page's files in a directory of their own, which is the working directory; updates without recording."""
    write_files(PAGE, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Algorithm, "update", unrecorded)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    yield tmp_path
    for name in {Path(name).stem for name in FILES if name.endswith(".py")} & sys.modules.keys():
        del sys.modules[name]


@pytest.fixture
def run(train: Train, project: Path, data_directory: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """run(name, *words) -> output of the page's command of this name, as a tiny run with further words."""

    def execute(name: str, *words: str) -> str:
        chosen = [] if any(word.startswith("logger=") for word in COMMANDS[name]) else ["logger=csv"]
        status = train(*COMMANDS[name], *BRIEF, f"data.directory={data_directory}", *chosen, *words)
        captured = capsys.readouterr()
        assert status == 0, captured.err
        return captured.out

    return execute


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary, "save_plots", lambda *_: [])


def results(name: str) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """Rows of a run's metrics.csv, and its summary."""
    folder = Path("runs") / name
    return list(csv.DictReader((folder / "metrics.csv").open())), json.loads((folder / "summary.json").read_text())


def test_the_page_has_its_files_and_commands() -> None:
    assert list(COMMANDS) == ["logger", "callback", "metric", "plot", "suite"]
    for name, text in FILES.items():
        assert len([line for line in text.splitlines() if line.strip()]) <= 18, name


@pytest.mark.slow
@pytest.mark.usefixtures("no_plots")
def test_a_logger_is_one_config_file(run: Callable[..., str], project: Path) -> None:
    run("logger")
    rows, _ = results("logger")
    logged = list(csv.DictReader((project / "runs/logger/lightning/version_0/metrics.csv").open()))
    assert [row["step"] for row in logged] == [row["step"] for row in rows] == ["10", "20"]
    for ours, theirs in zip(rows, logged, strict=True):
        assert float(theirs["critic/loss"]) == pytest.approx(float(ours["critic/loss"]))
    assert not (project / "runs/logger/tensorboard").exists()


class Recorder(DummyLogger):
    """A logger that records where a run starts and what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[int] = []
        self.steps: list[int] = []

    def resume_at(self, step: int) -> None:
        self.started.append(step)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.steps.append(step)


@pytest.mark.slow
@pytest.mark.usefixtures("no_plots")
def test_a_logger_receives_where_a_run_resumes(project: Path, data_directory: Path) -> None:
    recorders = []
    for steps in (20, 40):
        words = [*BRIEF, f"data.directory={data_directory}", "run_dir=run", "logger=csv", "resume=auto"]
        config = qam_torch.compose(["experiment=quickstart", *words, f"offline_steps={steps}"])
        recorders.append(Recorder())
        qam_torch.fit(config, loggers=[recorders[-1]])
    assert [recorder.started for recorder in recorders] == [[0], [20]]
    assert [recorder.steps for recorder in recorders] == [[10, 20], [30, 40]]


@pytest.mark.slow
@pytest.mark.usefixtures("no_plots")
def test_a_callback_is_a_class_and_a_config_file(run: Callable[..., str]) -> None:
    out = run("callback")
    rows, _ = results("callback")
    for row in rows:
        assert f"critic/q_mean at update {row['update']}: {float(row['critic/q_mean']):.3f}" in out


@pytest.mark.slow
def test_an_evaluation_metric_is_one_function(
    run: Callable[..., str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which a worker process imports, too."""
    out = run("metric", "eval_workers=1", "eval_episodes=2", "seeds=[1,2]")
    rows, found = results("metric")
    by_seed = [float(row["evaluation/effort"]) for row in rows if row["step"] == "20"]
    final = found["final"]
    assert final["effort_by_seed"] == pytest.approx(by_seed) and final["effort"] == pytest.approx(np.mean(by_seed))
    assert all(0 < value <= 2 * final["length"] for value in by_seed)  # two actions in [-1, 1]
    assert list(rows[0])[-2:] == ["evaluation/seconds", "evaluation/effort"]
    assert f"effort {final['effort']:.4g}" in out
    assert "plots/evaluation_metrics.png" in found["plots"]
    assert report_main(["runs/metric", "--out", "report"]) == 0
    assert "effort" in Path("report/report.md").read_text()
    assert np.isfinite(read_metrics("runs/metric/metrics.csv", training=False)["evaluation/effort"]).sum() == 2
    capsys.readouterr()
    words = ["runs/metric/checkpoints/last.ckpt", "--episodes=1", "--workers=0", "--json=effort.json"]
    assert evaluate_main([*words, "--metrics", "my_metrics.effort"]) == 0
    again = json.loads(Path("effort.json").read_text())["effort"]
    _, heading, *members = capsys.readouterr().out.splitlines()
    assert heading.split()[-1] == "effort" and [row.split()[-1] for row in members] == [f"{one:.4g}" for one in again]


@pytest.mark.slow
def test_a_plot_is_one_function(run: Callable[..., str], project: Path) -> None:
    run("plot")
    assert "plots/gradients.png" in results("plot")[1]["plots"]
    assert (project / "runs/plot/plots/gradients.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_plot_that_raises_leaves_the_results(
    train: Train, project: Path, data_directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "my_plots.py").write_text("def gradients(run):\n    return run.nothing\n")
    assert train(*COMMANDS["plot"], *BRIEF, f"data.directory={data_directory}", "logger=csv") == 0
    assert "plot gradients is left out (AttributeError: " in capsys.readouterr().err
    assert "plots/losses.png" in results("plot")[1]["plots"]


@pytest.mark.slow
@pytest.mark.usefixtures("no_plots")
def test_a_suite_is_one_class(run: Callable[..., str], project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = np.zeros((60, 7))
    rows[:, :4] = np.random.default_rng(0).uniform(-1, 1, (60, 4))
    rows[29::30, 6] = 1
    np.savetxt("pendulum.txt", rows)
    run("suite")
    _, found = results("suite")
    assert (found["environment"], found["data"]["transitions"], found["data"]["episodes"]) == ("Pendulum-v1", 58, 2)
    assert qam_torch.load_policy("runs/suite").environment["source"] == "my_suite.Table"
    assert evaluate_main(["runs/suite/checkpoints/last.ckpt", "--episodes=1", "--workers=0"]) == 0
    assert "Pendulum-v1" in capsys.readouterr().out


@pytest.mark.slow
def test_the_pages_script(project: Path, data_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(project)
    compose = qam_torch.compose
    more = [*BRIEF, f"data.directory={data_directory}"]
    monkeypatch.setattr(qam_torch, "compose", lambda words: compose([*words, *more]), raising=False)
    scope: dict[str, Any] = {}
    exec(SCRIPT, scope)
    folder = scope["run"].directory
    assert scope["run"].summary["final"]["effort"] > 0
    assert scope["again"].metrics["effort"].shape == (1, 2)
    assert "plots/gradients.png" in scope["run"].summary["plots"]
    assert (folder / "lightning/version_0/metrics.csv").is_file()
    assert list((folder / "tensorboard").glob("events.*"))  # what is configured remains


MISTAKES = {
    ("callbacks=wach",): "unknown callbacks 'wach': did you mean watch",
    ("callbacks=watch", "callbacks.watch._target_=my_callback.Wach"): (
        "callbacks.watch._target_ cannot be found (AttributeError: module 'my_callback' has no attribute 'Wach')"
    ),
    ("callbacks=watch", "callbacks.watch._target_=builtins.dict"): "callbacks contain a dict: expected objects of",
    ("callbacks=watch", "~callbacks.watch.metric"): "callbacks.watch cannot be made (TypeError: ",
    ("evaluation_metrics=my_metrics.effort",): "expected a list of functions such as [my_module.my_function]",
    ("evaluation_metrics=[my_metrics.efort]",): "has no attribute 'efort'",
    ("evaluation_metrics=[my_metrics.effort,my_metrics.effort]",): "named 'effort', which is reserved",
    ("plots=[my_plot.gradients]",): "plots=my_plot.gradients cannot be found (ModuleNotFoundError: ",
    ("env=table", "env.source=my_suite.Tabel"): "env.source=my_suite.Tabel cannot be found",
    ("env=table", "env.source=my_callback.Watch"): "env.source=my_callback.Watch is not a suite: expected a class",
    ("env=table", "env.path=null"): "requires path=..., e.g. path=pendulum.txt",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_sentence(
    words: tuple[str, ...], project: Path, train: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--config-dir", "conf", "experiment=default", "run_dir=run", *BRIEF, *words) == 1
    assert MISTAKES[words] in one_sentence(capsys.readouterr().err)
    assert not Path("run/config.yaml").exists()
