"""What a run leaves."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.envs.step_metrics import Step
from qam_torch.training.evaluator import Evaluator
from qam_torch.training.fit import Additions, RunResult
from qam_torch.types import QamError
from tests.helpers.runs import TRANSITIONS, Fit, one_sentence

FILES = (
    "config.yaml", "versions.json", "metrics.csv", "summary.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt",
    "plots/success.png", "plots/losses.png", "plots/trajectories.png",
)  # fmt: skip


def rows(directory: Path) -> list[dict[str, str]]:
    with open(directory / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_every_file_is_there_and_nothing_half_written(finished: RunResult) -> None:
    for name in FILES:
        assert (finished.directory / name).stat().st_size > 0, name
    assert list((finished.directory / "tensorboard").glob("events.out.tfevents.*"))
    assert not [path for path in finished.directory.rglob("*") if path.name.endswith(".tmp") or "probe" in path.name]
    for name in FILES[-3:]:
        assert (finished.directory / name).read_bytes().startswith(b"\x89PNG")


def test_the_summary_says_what_came_out(finished: RunResult, data_directory: Path) -> None:
    summary = json.loads((finished.directory / "summary.json").read_text())
    assert summary == finished.summary
    assert (summary["algorithm"], summary["environment"], summary["task"]) == ("qam", "pointmaze-medium-navigate-v0", 1)
    assert (summary["updates"], summary["seeds"], summary["episodes"]) == (40, [0], 2)
    assert summary["wall_seconds"] > 0
    for part in ("final", "behavior"):
        low, high = summary[part]["success_95"]
        assert 0 <= low <= summary[part]["success"] <= high <= 1
        assert summary[part]["success_by_seed"] == [summary[part]["success"]]
    data = summary["data"]
    assert (data["transitions"], data["origin"]) == (TRANSITIONS, "generated")
    assert Path(data["path"]).parent == data_directory
    assert data["sha256"] == hashlib.sha256(Path(data["path"]).read_bytes()).hexdigest()
    assert set(summary["plots"]) == set(FILES[-3:])


def test_versions_of_what_decides_the_numbers(finished: RunResult) -> None:
    found = json.loads((finished.directory / "versions.json").read_text())
    assert found["torch"] == torch.__version__
    assert found["qam_torch"] == qam_torch.__version__
    assert {"python", "lightning", "torchdiffeq", "gymnasium", "ogbench", "mujoco", "numpy", "device"} <= found.keys()
    assert found["capture"] == "eager"  # as tests of whole runs are made
    assert found == finished.summary["versions"]


def test_the_resolved_config_is_the_config(finished: RunResult, tiny: Callable[..., list[str]]) -> None:
    text = (finished.directory / "config.yaml").read_text()
    assert "${" not in text
    assert OmegaConf.create(text) == qam_torch.compose(tiny(finished.directory, "compare_behavior=true"))


def test_metrics_have_a_row_for_each_logged_update(finished: RunResult) -> None:
    table = rows(finished.directory)
    assert [int(row["update"]) for row in table] == [10, 20, 30, 40]
    assert {row["seed"] for row in table} == {"0"}
    names = {"critic/loss", "behavior/loss", "adjoint/loss", "gradient/norm", "critic/q_mean", "seconds"}
    assert names <= table[0].keys()
    for row in table:
        assert all(np.isfinite(float(row[name])) for name in names)
        evaluated = int(row["update"]) % 20 == 0
        for name in ("success", "return", "length", "seconds"):
            assert bool(row[f"evaluation/{name}"]) == evaluated
    seconds = [float(row["seconds"]) for row in table]
    assert seconds == sorted(seconds) and seconds[0] > 0


def test_events_are_the_metrics(finished: RunResult) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished.directory / "tensorboard")).Reload()
    losses = {event.step: event.value for event in events.Scalars("critic/loss")}
    table = rows(finished.directory)
    assert losses == pytest.approx({int(row["update"]): float(row["critic/loss"]) for row in table})
    assert [event.step for event in events.Scalars("evaluation/success")] == [20, 40]


def test_a_population_has_a_row_for_each_member(population: RunResult) -> None:
    table = rows(population.directory)
    assert [(int(row["update"]), int(row["seed"])) for row in table] == [
        (update, seed) for update in (10, 20, 30, 40) for seed in (1, 2, 3)
    ]
    assert len({row["critic/loss"] for row in table}) == len(table)
    assert len(population.summary["final"]["success_by_seed"]) == 3


@pytest.mark.slow
def test_how_updates_are_grouped_changes_no_result(tiny_fit: Fit, tmp_path: Path) -> None:
    """QAM draws normal and uniform numbers; 7 rows are no multiple of what a CPU draws at once."""
    common = ("offline_steps=12", "batch_size=7", "eval_episodes=1")
    groupings = (
        ("updates_per_step=12", "log_every=12", "eval_every=12", "checkpoint_every=12"),
        ("updates_per_step=5", "log_every=4", "eval_every=6", "checkpoint_every=7"),
    )
    runs = [tiny_fit(tmp_path / words[0], *common, *words) for words in groupings]
    states = [run.algorithm.state_dict() for run in runs if run.algorithm is not None]
    assert len(states) == 2 and all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert runs[0].summary["final"] == runs[1].summary["final"]


def test_every_evaluation_is_computed_where_the_run_is_trained(
    tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning moves the networks to the CPU when it has trained; here they are there anyway, so moves are counted."""
    place, seen = ["new"], []
    to, cpu, evaluate = Algorithm.to, Algorithm.cpu, Evaluator.__call__

    def moved(algorithm: Algorithm, *arguments: Any, **options: Any) -> Any:
        place[0] = "trainer" if isinstance(arguments[0], torch.device) else place[0]
        return to(algorithm, *arguments, **options)

    def returned(algorithm: Algorithm) -> Any:
        place[0] = "cpu"
        return cpu(algorithm)

    def evaluated(evaluator: Evaluator, *arguments: Any, **options: Any) -> Any:
        seen.append(place[0])
        return evaluate(evaluator, *arguments, **options)

    monkeypatch.setattr(Algorithm, "to", moved)
    monkeypatch.setattr(Algorithm, "cpu", returned)
    monkeypatch.setattr(Evaluator, "__call__", evaluated)
    tiny_fit(tmp_path / "run", "offline_steps=10", "eval_episodes=1", "compare_behavior=true")
    assert seen == ["trainer"] * 3, "during training, the final one with the paths of a maze, and the behavior flow's"
    assert place == ["cpu"]


def test_the_final_evaluation_is_the_last_of_training(finished: RunResult) -> None:
    last = rows(finished.directory)[-1]
    assert float(last["evaluation/success"]) == finished.summary["final"]["success"]
    assert float(last["evaluation/return"]) == finished.summary["final"]["return"]


@pytest.mark.slow
def test_no_logger_leaves_the_rest(tiny_fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_fit(tmp_path / "run", "logger=none", "offline_steps=10", "eval_episodes=1", plots=True)
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"config.yaml", "versions.json", "summary.json", "checkpoints", "plots"}
    out = capsys.readouterr().out
    assert "summary.json  config.yaml  versions.json\n" in out and "checkpoints/" in out


def test_the_terminal_says_where_everything_is(
    tiny_fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tiny_fit(tmp_path / "run with a space", "offline_steps=10", "eval_episodes=1", "logger=csv")
    out = capsys.readouterr().out
    assert len(out.splitlines()) < 20
    assert "  capture         eager\n" in out
    assert "2,000 transitions" in out and f"{result.directory}/" in out
    assert f"qam-eval '{result.directory}/checkpoints/last.ckpt'" in out
    for name in ("summary.json", "metrics.csv", "config.yaml", "checkpoints/"):
        assert name in out
    assert "tensorboard" not in out


def test_a_metric_that_workers_cannot_import_is_refused_before_anything_is_written(
    tiny: Callable[..., list[str]], tmp_path: Path
) -> None:
    def local(value: float | None, step: Step) -> float:
        return step.reward

    config = qam_torch.compose(tiny(tmp_path / "run", "eval_workers=2"))
    with pytest.raises(QamError, match="an evaluation metric cannot be sent .*eval_workers=0"):
        qam_torch.fit(config, evaluation_metrics=[local])
    assert not (tmp_path / "run").exists()
    Additions(evaluation_metrics=[local]).check(workers=0)


def test_trainer_cpu_runs_on_the_cpu(finished: RunResult) -> None:
    assert finished.algorithm is not None
    assert finished.algorithm.device.type == "cpu"


def test_a_multirun_is_checked_before_any_run(
    tiny: Callable[..., list[str]], train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("-m", *tiny(tmp_path / "run"), "algo.inv_temp=1,-2") == 1
    assert "inv_temp=-2 is out of range" in one_sentence(capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("algo", ["qam", "qam_f", "qam_e"])
@pytest.mark.parametrize("env", ["scene-play", "antmaze-giant-navigate", "humanoidmaze-large-navigate", "npz"])
def test_every_protocol_takes_a_step(algo: str, env: str) -> None:
    """With tiny layers and the sizes of no environment: the environments themselves are the tests' of `rollout`."""
    from qam_torch.training.settings import read_settings
    from qam_torch.types import Batch

    small = ["algo.actor_hidden_dims=[4]", "algo.value_hidden_dims=[4]", "algo.flow_steps=2", "algo.num_qs=2"]
    named = ["path=my.npz", "env_id=Pendulum-v1"] if env == "npz" else []
    config = qam_torch.compose([f"algo={algo}", f"env={env}", "seeds=[1,2]", *small, *named])
    algorithm, _ = read_settings(config).method.build(observation_dim=3, action_dim=2)
    algorithm.configure_optimizers()
    algorithm.recorded = False
    before = [parameter.clone() for parameter in algorithm.networks.parameters()]
    wide = 2 * config.algo.horizon_length
    ones = torch.ones(2, 3)
    batch = Batch(torch.randn(2, 3, 3), torch.rand(2, 3, wide), -ones, ones, ones, torch.randn(2, 3, 3))
    algorithm.prepare_noise(3)
    assert algorithm.noise is not None
    noise = {name: draw[0] for name, draw in algorithm.noise.sample(1).items()}
    report = algorithm.update(batch, noise, diagnose=True)
    assert all(value.isfinite().all() and value.shape == (2,) for value in report.values())
    networks = dict(algorithm.networks.named_parameters())
    moved = [name for (name, after), old in zip(networks.items(), before, strict=True) if not torch.equal(after, old)]
    assert {name.split(".")[0] for name in moved} == set(algorithm.networks)


def test_fit_refuses_wrong_values_too(tiny: Callable[..., list[str]], tmp_path: Path) -> None:
    with pytest.raises(QamError, match="algo.flow_steps=0"):
        qam_torch.fit(qam_torch.compose(tiny(tmp_path / "run", "algo.flow_steps=0")))
    assert not (tmp_path / "run").exists()
