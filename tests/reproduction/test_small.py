"""`qam-reproduce small`: a benchmark that fits a workstation, and its tuning."""

from __future__ import annotations

import csv
import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from qam_torch.algorithms import Algorithm
from qam_torch.cli.reproduce import main
from qam_torch.config import command_line
from qam_torch.config.composition import compose, config_directory
from qam_torch.reproduction import small_runs
from qam_torch.reproduction.small_results import write_results
from qam_torch.reproduction.small_runs import ENVIRONMENTS, METHODS, SmallPlan, SmallRun
from qam_torch.reproduction.small_tuning import choice_lines, chosen_value, tried_values, write_tuning
from qam_torch.run import fit
from qam_torch.rundir.metrics_file import MetricsFile
from qam_torch.sweep.job import SweepJob
from qam_torch.sweep.record import Outcome, Record, score_of
from qam_torch.training import summary
from qam_torch.training.settings import read_settings
from qam_torch.types import QamError
from tests.helpers.made_up_runs import EVALUATION
from tests.helpers.runs import one_sentence, unrecorded

MAZE, CUBE, PUZZLE = ENVIRONMENTS
KEYS = {
    "qam": "inv_temp", "qam_e": "inv_temp", "qam_f": "inv_temp", "fql": "fql_alpha", "ifql": "kappa",
    "rebrac": "alpha_actor", "cgql": "inv_temp", "rql": "bc_alpha",
}  # fmt: skip
TINY = (
    "algo.actor_hidden_dims=[8]", "algo.value_hidden_dims=[8]", "batch_size=8", "offline_steps=20", "eval_every=10",
    "eval_episodes=1", "log_every=10", "updates_per_step=10", "data.generate_transitions=2000",
)  # fmt: skip


def plan(
    *overrides: str, methods: Sequence[str] = ("all",), tune: bool = False, environments: str = "all"
) -> SmallPlan:
    return SmallPlan.of(methods, [environments], tune, Path("data"), overrides)


def make(
    run: SmallRun,
    success: Sequence[Sequence[float]],
    behavior: Sequence[float] | None = None,
    diverged: Sequence[int] = (0, 0, 0),
) -> None:
    """The files of a finished run; success of each of its last evaluations and members."""
    directory = run.paths.directory
    directory.mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(dict(run.values)), run.paths.config)
    population: Mapping[str, Sequence[float]] = run.values["population"]
    seeds = run.values["seeds"] or [run.values["seed"]] * len(success[0])
    file = MetricsFile(run.paths.metrics, seeds, population or None)
    for number, rates in enumerate(success):
        step = run.updates - (len(success) - 1 - number) * run.values["eval_every"]
        where = {"step": step, "phase": "offline", "update": step}
        file.write(where, 1.0, {**{name: [value] * len(rates) for name, value in EVALUATION.items()},
                                "evaluation/success": list(rates), "diverged": list(diverged)})  # fmt: skip
    result: dict[str, Any] = {
        "offline_steps": run.updates, "online_steps": 0, "updates": run.updates, "final": {}, "seeds": list(seeds),
        "wall_seconds": 900.0, "behavior": None if behavior is None else {"success_by_seed": list(behavior)},
    }  # fmt: skip
    run.paths.summary.write_text(json.dumps(result))


@cache
def every_run(tune: bool) -> list[SmallRun]:
    """The runs of the benchmark, or those of its tuning."""
    return plan(tune=tune).runs()


@pytest.mark.slow
@pytest.mark.parametrize("tune", [False, True])
def test_every_run_composes(tune: bool) -> None:
    runs = every_run(tune)
    assert [(run.environment, run.method) for run in runs] == [(env, algo) for env in ENVIRONMENTS for algo in METHODS]
    for run in runs:
        settings = read_settings(OmegaConf.create(dict(run.values)))
        assert settings.method.members == 3 and settings.schedule.offline_steps == run.updates
        algo = run.values["algo"]
        assert (algo["horizon_length"], algo["discount"], algo["actor_hidden_dims"]) == (5, 0.99, [128, 128])
        assert algo["rho"] == (3.0 if run.environment == MAZE else 0.5)
        assert run.values["env"]["reward"] == "dense"
        assert algo.get("flow_steps", 5) == 5 and algo["num_qs"] == (10 if run.method == "rebrac" else 2)
        assert run.values["compare_behavior"] == (run.method == "qam" and not tune)
        assert run.data == Path.cwd() / "data" / f"{run.environment}-v0.generated-200000-seed0.npz"
        assert (run.values["skip_completed"], run.values["on_divergence"]) == (True, "freeze")


@pytest.mark.slow
def test_the_tuning_differs_in_its_members_and_its_length_only() -> None:
    names = {
        "experiment_name", "run_name", "run_dir", "logger", "algo", "seed", "seeds", "population", "offline_steps",
        "eval_episodes",
    }  # fmt: skip
    for run, other in zip(every_run(False), every_run(True), strict=True):
        ((key, tried),) = other.values["population"].items()
        assert key == KEYS[run.method] and len(tried) == 3 and tried == sorted(tried)
        assert run.values["algo"][key] in tried
        assert {**run.values["algo"], key: 0} == {**other.values["algo"], key: 0}
        differing = {name for name in run.values if run.values[name] != other.values[name]}
        assert differing <= names | ({"compare_behavior"} if run.method == "qam" else set())
        assert run.values["population"] == {} and other.values["seeds"] is None
        assert other.values["seed"] not in run.values["seeds"] == [1, 2, 3]


def test_the_committed_values_are_those_that_the_tuning_chose() -> None:
    table = Path(__file__).resolve().parents[2] / "docs" / "files" / "small_tuning.csv"
    rows = list(csv.DictReader(table.open()))
    expected = {}
    for place in dict.fromkeys((row["environment"], row["method"], row["key"]) for row in rows):
        own = [row for row in rows if (row["environment"], row["method"], row["key"]) == place]
        expected[place] = chosen_value([float(row["value"]) for row in own], [float(row["success"]) for row in own])
    values = {
        (path.parent.name, path.stem, key): value
        for path in (config_directory() / "tuned" / "small" / "data").glob("*/*.yaml")
        for key, value in OmegaConf.load(path).items()
    }
    assert values == expected and len(values) == len(METHODS) * len(ENVIRONMENTS)
    for environment, method, key in values:
        config = compose(["experiment=small", f"env={environment}", f"algo={method}"])
        assert config.algo[key] == expected[environment, method, key]


@pytest.mark.parametrize(
    ("success", "value"),
    [
        ([0.1, 0.2, 0.3], 10), ([0.3, 0.2, 0.1], 1), ([0, 0, 0], 3), ([0.5, 0.5, 0.1], 3), ([0.5, 0.1, 0.5], 1),
        ([math.nan, 0.1, 0.0], 3), ([0.0, math.nan, 0.0], 1), ([math.nan, math.nan, 0.0], 10), ([math.nan] * 3, 3),
    ],
)  # fmt: skip
def test_the_value_that_is_chosen(success: list[float], value: float) -> None:
    assert chosen_value([1, 3, 10], success) == value


@pytest.mark.slow
def test_the_tuning_from_made_up_runs(tmp_path: Path) -> None:
    runs = plan(f"runs_root={tmp_path}", methods=["fql", "rql"], tune=True, environments=CUBE).runs()
    make(runs[0], [[1.0, 1.0, 1.0], [0.2, 0.4, 0.6], [0.4, 0.8, 0.4]])
    tried = tried_values(runs)
    assert [(one.key, one.value, one.success) for one in tried] == [
        ("fql_alpha", 10.0, pytest.approx(0.3)), ("fql_alpha", 100.0, pytest.approx(0.6)),
        ("fql_alpha", 1000.0, 0.5),
    ]  # fmt: skip
    assert {(one.method, one.environment, one.updates, one.seconds) for one in tried} == {("fql", CUBE, 8_000, 900.0)}
    (line,) = choice_lines(tried)
    assert line.split()[:4] == [CUBE, "fql", "fql_alpha:", "100.0"] and "10: 0.30, 100: 0.60, 1000: 0.50" in line
    write_tuning(tried, tmp_path / "tuning.csv")
    assert (tmp_path / "tuning.csv").read_text().splitlines()[:2] == [
        "method,environment,key,value,success,updates,seconds", f"fql,{CUBE},fql_alpha,10.0,0.3,8000,900.0"
    ]  # fmt: skip


@pytest.mark.slow
def test_the_table_from_made_up_runs(tmp_path: Path) -> None:
    runs = plan(f"runs_root={tmp_path}", methods=["qam", "fql"]).runs()
    rates = {MAZE: 1.0, CUBE: 0.5}
    for run in runs:
        if run.environment in rates:
            rate = rates[run.environment]
            behavior = [0.0, 0.02, 0.04] if run.method == "qam" else None
            make(run, [[0, 0, 0], [rate, rate, 0.1 * rate]], behavior, diverged=(0, 0, 13_000))
    lines = write_results(runs, tmp_path)
    assert lines[:5] == [
        f"| method | {MAZE}, task 1 | {CUBE}, task 1 | {PUZZLE}, task 1 |",
        "| --- | ---: | ---: | ---: |",
        "| behavior cloning | 0.02 (0.00, 0.02, 0.04) | 0.02 (0.00, 0.02, 0.04) | – |",
        "| qam | 0.70 (1.00, 1.00, 0.10) | 0.35 (0.50, 0.50, 0.05) | – |",
        "| fql | 0.70 (1.00, 1.00, 0.10) | 0.35 (0.50, 0.50, 0.05) | – |",
    ]
    assert "4 of 6 runs are finished; their times add up to 1.00 hours." in lines
    assert (tmp_path / "table.md").read_text().splitlines() == lines
    rows = list(csv.DictReader((tmp_path / "curves.csv").open()))
    cloning = [row for row in rows if row["method"] == "behavior cloning"]
    assert [[row[name] for name in ("env", "task", "seed", "step", "success")] for row in cloning] == [
        [f"{environment}-v0", "1", seed, "16000", success]
        for environment in rates
        for seed, success in (("1", "0.0"), ("2", "0.02"), ("3", "0.04"))
    ]
    rows = [row for row in rows if row not in cloning]
    assert {(row["seed"], row["diverged"]) for row in rows} == {("1", ""), ("2", ""), ("3", "13000")}
    assert len(rows) == 4 * 3 * 2 and {row["step"] for row in rows} == {"12000", "16000"}
    assert {path.name for path in tmp_path.glob("*.png")} == {f"{MAZE}.png", f"{CUBE}.png"}
    with pytest.raises(QamError, match="no run of the benchmark is finished"):
        write_results([run for run in runs if run.environment == PUZZLE], tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--methods", "dac"], "--methods dac is not in the benchmark: choose from qam, qam_e, "),
        (["--environments", "cube"], "--environments cube is not in the benchmark: choose from pointmaze-medium-"),
        (["algo.lr=1"], "algo.lr=1 changes the benchmark's runs: leave it out, or use qam-train"),
        (["data.directory=/data"], "data.directory=/data is not taken here: give --directory DIR"),
    ],
)
def test_wrong_words(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["small", *words]) == 1
    assert message in one_sentence(capsys.readouterr().err, "qam-reproduce")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run_dir=x"], "have the same directory"),
        (["trainer.devices=2.5"], "trainer.devices=2.5 is out of range"),
        ([], "hydra/launcher=qam_joblib requires more packages"),
    ],
)
def test_mistakes_are_reported_before_data_are_generated(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(small_runs, "make_data", lambda *_: pytest.fail("data are generated"))
    monkeypatch.setattr(command_line, "_is_installed", lambda plugin: bool(words))
    assert main(["small", "--methods", "fql,rql", "--environments", MAZE, "--directory", "data", *words]) == 1
    assert message in capsys.readouterr().err


def test_a_metric_is_found_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metric_of_a_project.py").write_text("def effort(so_far, step):\n    return 1.0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(tmp_path))])
    monkeypatch.setattr(small_runs, "make_data", lambda *_: sys.exit("data are generated"))
    words = ["evaluation_metrics=[metric_of_a_project.effort]", "hydra/launcher=basic"]
    assert main(["small", "--methods", "fql", "--environments", MAZE, "--directory", "data", *words]) == 1
    assert capsys.readouterr().err == "data are generated\n"


def in_this_process(job: SweepJob, record: Record, settings: Any, environment: Any, log: Any) -> Record:
    """A run of a sweep without a process of its own, which takes seconds to begin."""
    score = score_of(fit(OmegaConf.create(settings)).summary)
    return record.with_outcome(Outcome("finished", settings["run_dir"], *score))


@pytest.mark.slow
def test_the_whole_command_interrupted_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], short_episodes: None
) -> None:
    usual, call = SmallPlan.command_overrides, SweepJob.__call__
    monkeypatch.setattr(SmallPlan, "command_overrides", lambda own: [*usual(own)[:-2], *TINY, *usual(own)[-2:]])
    monkeypatch.setattr(small_runs, "METHODS", ("qam", "fql"))
    monkeypatch.setattr(SweepJob, "_run_in_process", in_this_process)
    monkeypatch.setattr(Algorithm, "update", unrecorded)
    monkeypatch.setattr(summary, "save_plots", lambda *_: [])
    monkeypatch.chdir(tmp_path)
    words = ["small", "--environments", MAZE, "--directory", "data", "hydra/launcher=basic", "eval_workers=0"]

    def interrupted(job: SweepJob, config: Any) -> None:
        call(job, config)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SweepJob, "__call__", interrupted)
        assert main(words) == 130
    GlobalHydra.instance().clear()
    out, err = capfd.readouterr()
    assert "qam-reproduce: interrupted; the same command continues" in err
    assert "2 x 1 = 2, each a population: seeds 1, 2, 3" in out and f"0 of 1 files are in {tmp_path / 'data'}" in out
    command = next(shlex.split(line) for line in out.splitlines() if line.startswith("qam-train"))
    assert command[:3] == ["qam-train", "-m", "experiment=small"] and not Path("small/table.md").exists()
    assert main(words) == 0
    out = capfd.readouterr().out
    assert f"1 of 1 files are in {tmp_path / 'data'}" in out and "finished     1 of 2 runs" in out
    assert "2 runs: 1 skipped, 1 finished" in out
    assert {path.name for path in Path("small").iterdir()} == {"table.md", "curves.csv", f"{MAZE}.png"}
    assert Path("small/curves.csv").read_text().count("\n") == 1 + 2 * 3 * 2 + 3
    assert [line.split(" | ")[0] for line in Path("small/table.md").read_text().splitlines()[2:5]] == [
        "| behavior cloning", "| qam", "| fql"
    ]  # fmt: skip
