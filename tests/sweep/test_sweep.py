"""What a sweep requests, how its runs share a machine, and what it prints at the end."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from qam_torch.config import command_line as command
from qam_torch.config.command_line import parse_command_line
from qam_torch.config.composition import compose, config_directory
from qam_torch.config.overrides import common_words, jobs, name_of, parsed
from qam_torch.sweep import slurm, sweep
from qam_torch.sweep.job import SweepJob
from qam_torch.sweep.record import Outcome, Record
from qam_torch.sweep.resources import Share, environment_variables, slot
from qam_torch.sweep.table import exit_status, print_table, read_records
from qam_torch.system.locks import exclusive
from qam_torch.training import fit as run
from qam_torch.training.fit import RunResult
from qam_torch.training.settings import read_settings
from qam_torch.types import QamError
from tests.helpers.runs import TINY, Fit, one_sentence

Train = Callable[..., int]
METHODS = sorted(path.stem for path in (config_directory() / "algo").glob("*.yaml"))


# What is asked for


@pytest.mark.slow
@pytest.mark.parametrize(
    "word",
    [
        "algo.lr=1e-3", "algo.action_chunking=false", "data.path='/a b/c=d.npz'", "algo.actor_hidden_dims=[16, 16]",
        "++population.inv_temp=[1,2.0]", "offline_steps=1_000", "data.path=null", "resume=auto",
    ],
)  # fmt: skip
def test_a_directory_is_named_alike_in_a_sweep_though_hydra_writes_its_words_anew(word: str) -> None:
    words = ["algo=qam", word, "seed=2"]
    ((written,),) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)
    assert jobs(words) == [written]
    assert compose(written).run_dir == compose(words).run_dir == compose(list(reversed(words))).run_dir


def test_the_last_of_two_words_for_one_key_names_the_directory() -> None:
    assert compose(["seed=1", "algo.lr=1", "algo.lr=2"]).run_dir == compose(["seed=1", "algo.lr=2"]).run_dir


def test_runs_of_one_directory_are_refused(
    tiny: Callable[..., list[str]], train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("-m", *tiny(tmp_path / "run"), "seed=1,2") == 1
    message = one_sentence(capsys.readouterr().err)
    assert f"the runs 'seed=1' and 'seed=2' have the same directory '{tmp_path / 'run'}'" in message
    assert not list(tmp_path.iterdir())


def test_an_interval_needs_a_sweeper_that_searches() -> None:
    with pytest.raises(
        QamError, match=r"is not a list of values: give some, such as algo.inv_temp=1,3, or hydra/sweeper="
    ):
        parse_command_line(["-m", "algo.inv_temp=interval(1,2)"], read_settings)


@pytest.mark.parametrize("choice", command.EXTRAS)
def test_what_is_not_installed_is_named_with_its_extra(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_is_installed", lambda plugin: False)
    with pytest.raises(QamError, match="requires more packages: pip install 'hydra-"):
        parse_command_line(["-m", choice, "seed=1,2"], read_settings)


@pytest.mark.parametrize("algo", METHODS)
@pytest.mark.slow
def test_what_optuna_searches_are_numbers_of_the_method_around_the_published_ones(algo: str) -> None:
    space = OmegaConf.load(config_directory() / "hydra" / "sweeper" / "space" / f"{algo}.yaml")
    assert list(space)
    for env in ("antmaze-large-navigate", "scene-play", "puzzle-4x4-play", "cube-triple-play"):
        config = compose(["experiment=paper", f"algo={algo}", f"env={env}"])
        for key in map(str, space):
            override, value = parsed(f"{key}={space[key]}"), OmegaConf.select(config, key)
            if override.is_interval_sweep():
                low, high = override.value().start, override.value().end  # type: ignore[union-attr]
                assert isinstance(low, float) and low < high
                zero = value == 0 and key == "algo.fql_alpha"  # it leaves out its term, and has no logarithm
                assert zero or low <= value <= high
            else:
                assert value in list(override.sweep_iterator())


@pytest.mark.slow
def test_a_search_is_checked_at_its_ends() -> None:
    words = ["-m", "hydra/sweeper=qam_optuna", "experiment=quickstart"]
    assert parse_command_line([*words, "algo=qam_e", "seed=3"], read_settings).runs is None
    with pytest.raises(QamError, match="inv_temp=-1.0 is out of range"):
        parse_command_line([*words, "algo=qam", "algo.inv_temp=interval(-1.0, 2.0)"], read_settings)


# Sharing a machine


def test_shares_are_what_the_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qam_torch.sweep.resources.cpu_cores", lambda: 16)
    assert Share.of({}, 9) == Share(1, None)
    assert Share.of({"n_jobs": 4}, 9) == Share(4, 4)
    assert Share.of({"n_jobs": 4}, 2) == Share(2, 8)
    assert Share.of({"n_jobs": -1}, None) == Share(16, 1)
    assert Share.of({"n_jobs": 64}, None) == Share(64, 1)
    assert Share.of({"cpus_per_task": 6}, 9) == Share(1, 6)
    assert Share.of({"ray": {"remote": {"num_cpus": 2, "num_gpus": 0.5}}}, 9) == Share(1, 2)


def test_gpus_go_round() -> None:
    given = [environment_variables(Share(5, 2), place, ("0", "3")) for place in range(5)]
    assert [one["CUDA_VISIBLE_DEVICES"] for one in given] == ["0", "3", "0", "3", "0"]
    assert {one["OMP_NUM_THREADS"] for one in given} == {"2"}
    assert environment_variables(Share(1, None), 0, ("0", "3")) == {}
    assert "CUDA_VISIBLE_DEVICES" not in environment_variables(Share(5, 2), 1, ())


def test_a_place_is_ones_own_until_it_is_left(tmp_path: Path) -> None:
    with slot(tmp_path, 3, 0) as one, slot(tmp_path, 3, 1) as other:
        assert (one, other) == (0, 1)
        with slot(tmp_path, 3, 2) as third:
            assert third == 2
    with slot(tmp_path, 3, 3) as again:
        assert again == 0


# Output


def records(tmp_path: Path) -> list[Record]:
    outcomes = [
        Outcome("finished", str(tmp_path / "a"), 0.925, seconds=1234.5), Outcome("skipped", str(tmp_path / "b"), 0.5),
        Outcome("resumed", str(tmp_path / "c"), 1.0, seconds=3.2),
        Outcome("failed", str(tmp_path / "d"), seconds=8.0, reason="the sky has fallen: put it back"),
    ]  # fmt: skip
    common = common_words(["algo=qam", "seed=1,2,3,4,5"])
    runs = jobs(["algo=qam", "seed=1,2,3,4,5"])
    for number, outcome in enumerate(outcomes):
        record = Record(number, runs[number], name_of(runs[number], common), outcome)
        record.write(Record.path(tmp_path, number))
    return read_records(tmp_path, common, runs)


def test_the_table_has_a_line_for_each_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = records(tmp_path)
    print_table(found, tmp_path)
    lines = capsys.readouterr().out.splitlines()
    table = [line.split() for line in lines[2:7]]
    assert [row[:4] for row in table[:1]] == [["seed=1", "finished", "0.93", "1,234"]]
    assert [row[:2] for row in table[1:4]] == [["seed=2", "skipped"], ["seed=3", "resumed"], ["seed=4", "failed"]]
    assert lines[6].split() == ["seed=5", "not", "started"]
    assert "    the sky has fallen: put it back" in lines
    assert "  5 runs: 1 finished, 1 skipped, 1 resumed, 1 failed, 1 not started;" in lines[-1]


def test_a_damaged_record_takes_no_other_along(tmp_path: Path) -> None:
    records(tmp_path)
    Record.path(tmp_path, 1).write_text("{")
    found = read_records(tmp_path, frozenset())
    assert [record.outcome.ending for record in found] == ["finished", "failed", "resumed", "failed"]
    assert "0001.json' is not a record of a sweep" in found[1].outcome.reason


@pytest.mark.parametrize("ending", ["finished", "failed", "running"])
def test_what_a_run_came_to_counts_though_its_job_is_lost(ending: str, tmp_path: Path) -> None:
    job = SimpleNamespace(results=raiser(RuntimeError("node failed_outcome")), job_id="7")
    Record(0, ["seed=1"], "seed=1", Outcome(ending, "there")).write(Record.path(tmp_path, 0))
    returned = slurm._result(SweepJob(tmp_path, tmp_path), 0, ["seed=1"], job)
    kept = Record.read(Record.path(tmp_path, 0)).outcome
    assert returned._return_value == kept
    if ending == "running":
        assert (kept.ending, kept.reason) == ("failed", "job 7 left no result (RuntimeError: node failed_outcome)")
    else:
        assert kept.ending == ending


def raiser(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "elsewhere"),
    [("basic", False), ("qam_slurm_local", False), ("qam_slurm", True), ("submitit_slurm", True)],
)
def test_only_slurms_runs_go_on_without_the_command(launcher: str, elsewhere: bool) -> None:
    if launcher != "basic":
        pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    words = ["-m", f"hydra/launcher={launcher}", "experiment=quickstart", "seed=1,2"]
    assert parse_command_line(words, read_settings).detached is elsewhere


def test_sweeps_of_one_second_have_directories_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "datetime", SimpleNamespace(now=lambda: datetime(2026, 1, 2, 3, 4, 5)))
    assert [sweep._make_directory(tmp_path).name for _ in range(3)] == [
        "2026-01-02_03-04-05", "2026-01-02_03-04-05-2", "2026-01-02_03-04-05-3"
    ]  # fmt: skip


@pytest.mark.slow
def test_two_processes_do_not_make_one_run(tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LOCK_PATIENCE", 0.2)
    with (
        exclusive(tmp_path / "run"),
        pytest.raises(QamError, match="another process uses '.*/run': wait until it ends"),
    ):
        tiny_fit(tmp_path / "run")
    tiny_fit(tmp_path / "run")


@pytest.mark.slow
def test_a_directory_beside_which_nothing_can_be_made_is_worked_in_without_a_lock(
    tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "exclusive", lambda *_: raiser(PermissionError(13, "Permission denied"))())
    assert tiny_fit(tmp_path / "run").summary["updates"] == 40


def test_the_status_says_whether_every_run_has_its_results(tmp_path: Path) -> None:
    found = records(tmp_path)
    assert exit_status(found[:3]) == 0
    assert exit_status(found[:4]) == exit_status([*found[:3], found[4]]) == 1


def test_an_outcome_is_the_number_that_a_sweeper_maximises() -> None:
    assert float(Outcome("finished", score=0.25)) == 0.25
    with pytest.raises(ValueError, match="put it back"):
        float(Outcome("failed", reason="put it back"))


# skip_completed


def test_a_finished_run_is_left_alone_before_any_data_is_read(
    finished: RunResult, tiny: Callable[..., list[str]], train: Train, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def unexpected(*_: Any) -> None:
        raise AssertionError("data were read")

    monkeypatch.setattr(run, "load_data", unexpected)
    assert train(*tiny(finished.directory, "compare_behavior=true", "skip_completed=true")) == 0
    assert "this run is finished (40 updates" in capsys.readouterr().out


@pytest.mark.slow
def test_a_broken_run_is_resumed(tiny_fit: Fit, tmp_path: Path) -> None:
    whole = tiny_fit(tmp_path / "run")
    assert not whole.resumed
    (tmp_path / "run" / "summary.json").unlink()
    again = tiny_fit(tmp_path / "run", "skip_completed=true")
    assert again.resumed and again.algorithm is not None
    assert not list(tmp_path.glob("run.old-*"))


def test_skip_completed_is_true_or_false() -> None:
    with pytest.raises(QamError, match="skip_completed=maybe is out of range: expected true or false"):
        parse_command_line(["skip_completed=maybe"], read_settings)


# Optuna


@pytest.mark.slow
def test_optuna_finds_what_has_the_highest_success_and_goes_on_after_a_failure(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a stand-in for the runs, whose success is highest at inv_temp = 3, and of which two fail."""
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")

    def made(self: SweepJob, record: Record, settings: Any, *_: Any) -> Record:
        value = settings["algo"]["inv_temp"]
        if record.number in (1, 4):
            return record.with_outcome(Outcome("failed", settings["run_dir"], reason="it was too cold"))
        return record.with_outcome(Outcome("finished", settings["run_dir"], 1 / (1 + abs(value - 3)), seconds=1.0))

    monkeypatch.setattr(SweepJob, "_run_in_process", made)
    words = ("experiment=quickstart", f"runs_root={tmp_path}", "hydra.sweeper.n_trials=12", "hydra.sweeper.n_jobs=3")
    seeded = ("hydra.sweeper.sampler.seed=1", f"hydra.sweeper.storage=sqlite:///{tmp_path}/study.db")
    assert train("-m", *words, *seeded, "hydra/sweeper=qam_optuna", "hydra.sweeper.study_name=x") == 1
    out = capsys.readouterr().out
    assert "12 runs: 10 finished, 2 failed" in out and "it was too cold" in out
    (directory,) = (tmp_path / "sweeps").iterdir()
    best = OmegaConf.load(directory / "optimization_results.yaml")
    scores = {record.number: record.outcome.score for record in read_records(directory, frozenset())}
    assert len(scores) == 12 and best.best_value == max(score for score in scores.values() if score is not None)
    assert best.best_params["algo.inv_temp"] == pytest.approx(3, abs=1 / best.best_value - 1 + 1e-9)
    assert (tmp_path / "study.db").exists()


@pytest.mark.slow
def test_a_launcher_that_stops_leaves_the_table_of_its_runs(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from hydra._internal.core_plugins.basic_launcher import BasicLauncher

    def stopped(*_: Any, **__: Any) -> None:
        raise RuntimeError("the scheduler is away")

    monkeypatch.setattr(BasicLauncher, "launch", stopped)
    assert train("-m", *TINY, f"runs_root={tmp_path}", "seed=1,2") == 1
    captured = capsys.readouterr()
    message = one_sentence(captured.err)
    assert "the launcher stopped (the scheduler is away), see" in message
    (directory,) = (tmp_path / "sweeps").iterdir()
    assert "RuntimeError: the scheduler is away" in (directory / "error.log").read_text()
    assert "2 runs: 2 not started" in captured.out
    assert len((directory / "sweep.csv").read_text().splitlines()) == 3


def test_the_environment_of_launchers_ends_with_the_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    before = dict(os.environ)
    with sweep.Sweep(tmp_path, [], []).reporting():
        assert (os.environ["PYTHONSAFEPATH"], os.environ["HYDRA_FULL_ERROR"]) == ("1", "1")
    assert dict(os.environ) == before
