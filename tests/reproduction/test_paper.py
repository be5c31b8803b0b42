"""`qam-reproduce paper`: the very runs of the paper, what they take, and what is not known of it."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import pytest

from qam_torch.bench.workload import PRESETS
from qam_torch.cli import train
from qam_torch.cli.reproduce import main
from qam_torch.config.command_line import parse_command_line
from qam_torch.config.composition import compose
from qam_torch.paper import ALGOS, published
from qam_torch.reproduction.bench_times import estimate, read_bench
from qam_torch.reproduction.paper_cost import cost_of, environment_sizes, file_bytes
from qam_torch.reproduction.paper_plan import DOMAINS, METHODS, SEEDS, Plan
from qam_torch.training.settings import read_settings
from tests.helpers.runs import TINY, Fit

PART = ["paper", "--methods", "qam,fql", "--domains", "scene-play", "--tasks", "1", "3"]


def command_in(out: str) -> list[str]:
    return shlex.split(out.strip().splitlines()[-1])


def bench_file(path: Path, **changes: Any) -> Path:
    result = {
        "algo": "qam", "size": {**PRESETS["paper"]._asdict(), "observation_dim": 46}, "population": 12,
        "precision": "float32", "ms_per_update": 3.6,
    }  # fmt: skip
    path.write_text(json.dumps({"machine": {"device": "NVIDIA H100"}, "results": [{**result, **changes}]}))
    return path


def test_the_runs_are_those_of_the_published_figures() -> None:
    assert set(METHODS) == set(ALGOS.values()) and set(DOMAINS) == set(published().domains)
    plan = Plan.of(["all"], ["all"], ["all"], False, ())
    assert set(plan.methods) == set(METHODS) - {"rql"}, "its paper has no online phase"
    assert plan.runs == len(plan.methods) * 10 * 5 and len(set(SEEDS)) == 12


@pytest.mark.slow
def test_what_is_printed_is_a_command_that_qam_train_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PART, "runs_root=/elsewhere"]) == 0
    out = capsys.readouterr().out
    assert "2 x 1 x 2 = 4, each of 12 seeds: 48 of the paper's" in out
    words = command_in(out)
    assert words[:2] == ["qam-train", "-m"]
    command = parse_command_line(words[1:], read_settings)
    assert command.runs is not None and len(command.runs) == 4
    configs = [compose(run) for run in command.runs]
    assert [(c.algo_name, c.env_name, c.task) for c in configs] == [
        ("qam", "scene-play", 1), ("qam", "scene-play", 3), ("fql", "scene-play", 1), ("fql", "scene-play", 3)
    ]  # fmt: skip
    for config in configs:
        assert list(config.seeds) == list(SEEDS) and config.runs_root == "/elsewhere"
        assert (config.offline_steps, config.online_steps, config.skip_completed) == (1_000_000, 500_000, True)


def test_without_the_online_phase(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PART, "--offline"]) == 0
    assert compose([word for word in command_in(capsys.readouterr().out)[2:] if "," not in word]).online_steps == 0
    assert set(Plan.of(["all"], ["all"], ["all"], True, ()).methods) == set(METHODS) - {"rlpd"}


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "--methods qam,foo": "--methods foo is not in the paper: choose from bam, cgql",
        "--domains cube": "--domains cube is not in the paper: choose from scene-play",
        "--tasks 6": "--tasks 6 is not in the paper: choose from 1, 2, 3, 4, 5",
        "--methods ,": "argument --methods: expected at least one value",
        "--methods rlpd --offline": "rlpd has no offline phase",
        "--methods qam,rql": "--methods rql has no published online phase: give --offline",
        "algo.lr=3": "algo.lr=3 changes the published runs",
        "seeds=[1]": "changes the published runs",
        "--bench /nowhere": "no file '/nowhere': write it with qam-bench --json",
        "--launch moon": "invalid choice: 'moon'",
    }.items(),
)
def test_other_runs_are_refused(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paper", *words.split()]) == 1
    captured = capsys.readouterr()
    assert message in captured.err and len(captured.err.strip().splitlines()) == 1 and not captured.out


def test_hours_come_from_a_measurement_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PART) == 0
    assert "unknown for qam, fql" in capsys.readouterr().out
    assert main([*PART, "--bench", str(bench_file(tmp_path / "bench.json"))]) == 0
    out = capsys.readouterr().out
    assert "GPU hours   3 by measurements on NVIDIA H100" in out  # 2 tasks x 1.5 million updates x 3.6 ms
    assert (
        "measured with 46 observations and chunks of 5 x 5 numbers, for scene-play" in out
        and "unknown for fql: measure" in out
    )
    damaged = tmp_path / "damaged.json"
    damaged.write_text("[]")
    assert main([*PART, "--bench", str(damaged)]) == 1
    assert "is not a file of qam-bench" in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"population": 1}, {"precision": "bf16-mixed"}, {"algo": "bam"}])
def test_a_measurement_of_something_else_does_not_count(change: dict[str, Any], tmp_path: Path) -> None:
    plan = Plan.of(["qam"], ["scene-play"], ["1"], False, ())
    ((_, _, settings),) = plan.settings()
    bench = read_bench(bench_file(tmp_path / "bench.json"))
    found = estimate(settings, bench, (46, 5), 1_000_000)
    assert found is not None and math.isclose(found.hours, 1.0) and found.note == ""
    assert estimate(settings, read_bench(bench_file(tmp_path / "other.json", **change)), (46, 5), 1_000_000) is None


@pytest.mark.slow
def test_a_checkpoint_is_as_large_as_was_said(tiny_fit: Fit, tmp_path: Path) -> None:
    words = ["algo=qam_e", "seeds=[1,2]", "algo.value_hidden_dims=[128,128]"]
    run = tiny_fit(tmp_path / "run", *words, "logger=csv")
    size = (run.directory / "checkpoints" / "last.ckpt").stat().st_size
    predicted = cost_of(read_settings(compose([*TINY, "experiment=quickstart", *words]))).checkpoint
    assert predicted <= size <= 1.1 * predicted + 200_000  # names, and the generators' states


@pytest.mark.slow
def test_costs_are_those_of_the_records_the_networks_and_the_dataset() -> None:
    costs = [
        cost_of(read_settings(compose([*TINY, "experiment=quickstart", f"online_steps={steps}", f"seeds={seeds}"])))
        for steps, seeds in ((0, [1]), (3_000_000, [1]), (3_000_000, [1, 2]))
    ]
    assert [one.replay for one in costs] == [0, 37 * 3_000_000, 2 * 37 * 3_000_000]
    assert costs[2].checkpoint == 2 * costs[1].checkpoint
    data = 1_000_000 * 4 * (2 + 2 + 2)  # of observation, action, reward and mask
    assert costs[1].device > data and costs[2].device - data == 2 * (costs[1].device - data)
    observation_dim, action_dim, row_bytes = environment_sizes("cube-single-play-v0")
    assert (observation_dim, action_dim) == (28, 5)
    assert file_bytes("cube-single-play-v0") > 1_000_000 * row_bytes > 1_000_000 * 4 * (28 + 5)


def test_it_can_be_launched(monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[list[str]] = []
    monkeypatch.setattr(train, "main", lambda: launched.append(list(train.sys.argv)))
    assert main([*PART, "--launch", "slurm", "hydra.launcher.partition=gpu"]) == 0
    assert launched[0][:3] == ["qam-train", "-m", "hydra/launcher=qam_slurm"]
    assert "hydra.launcher.partition=gpu" in launched[0]
