"""Both phases in one run, and a run that was killed in either continues as if nothing had happened."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qam_torch.envs.host import Host
from qam_torch.envs.pool import EnvironmentFailure
from qam_torch.envs.recording import HostFailure
from qam_torch.plotting.step_axis import step_axis_label, values_by_member
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.training.evaluator import Evaluator
from qam_torch.training.fit import RunResult
from qam_torch.types import QamError
from tests.helpers.forked import run_forked
from tests.helpers.runs import Fit
from tests.training.test_resume import assert_equal, assert_same_results, checkpoint, event_steps, metrics

Overrides = Callable[..., list[str]]

ONLINE = (
    "algo=qam_e",
    "offline_steps=20",
    "online_steps=40",
    "start_training=8",
    "utd_ratio=2",
    "eval_every=20",
    "log_every=10",
    "checkpoint_every=10",
)
UPDATES = 20 + 2 * (40 - 8 + 1)
POPULATION = ("seeds=[3,4]", "num_envs=2", "replay_mode=balanced")


@pytest.fixture(scope="module")
def lone(tiny_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return tiny_fit(tmp_path_factory.mktemp("lone") / "run", *ONLINE)


@pytest.fixture(scope="module")
def several(tiny_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return tiny_fit(tmp_path_factory.mktemp("several") / "run", *ONLINE, *POPULATION)


def test_both_phases_are_in_the_same_files(lone: RunResult) -> None:
    rows = metrics(lone.directory)
    assert [(int(row["step"]), row["phase"], int(row["update"])) for row in rows] == [
        (10, "offline", 10),
        (20, "offline", 20),
        (30, "online", 26),
        (40, "online", 46),
        (50, "online", 66),
        (60, "online", UPDATES),
    ]
    assert all(row["critic/loss"] for row in rows)
    assert [bool(row["collection/episodes"]) for row in rows] == [False] * 2 + [True] * 4
    assert [bool(row["evaluation/success"]) for row in rows] == [False, True, False, True, False, True]
    steps = [step for step, _ in event_steps(lone.directory)["phase/online"]]
    assert steps == [10, 20, 30, 40, 50, 60]
    summary = lone.summary
    assert (summary["updates"], summary["offline_steps"], summary["online_steps"]) == (UPDATES, 20, 40)
    assert checkpoint(lone.directory, "last")["global_step"] == UPDATES


@pytest.mark.slow
def test_the_replay_buffer_lies_beside_the_checkpoint(lone: RunResult, several: RunResult) -> None:
    """One record a step, of all members' environments: 4 numbers seen, 2 acted, and so on."""
    record = 4 * 2 + 4 * 2 + 8 + 4 + 1 + 4 * 2
    assert (lone.directory / "checkpoints" / "replay.bin").stat().st_size == 40 * record
    assert (several.directory / "checkpoints" / "replay.bin").stat().st_size == 20 * 4 * record
    assert (several.directory / "checkpoints" / "last.ckpt").stat().st_size < 2e6


@pytest.mark.parametrize(
    ("moment", "run"),
    [
        pytest.param("update:14", "lone", marks=pytest.mark.slow),  # offline
        pytest.param(
            "save:3", "lone", marks=pytest.mark.slow
        ),  # the checkpoint that ends the offline phase, half written
        pytest.param("collect:6", "lone", marks=pytest.mark.slow),  # online, before training starts
        ("update:31", "lone"),  # online
        pytest.param("save:7", "lone", marks=pytest.mark.slow),  # online, half written
        pytest.param("flush:3", "lone", marks=pytest.mark.slow),  # online, the buffer further than the checkpoint
        pytest.param("summary:1", "lone", marks=pytest.mark.slow),
        pytest.param("collect:17", "several", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_continues_bit_for_bit(
    moment: str, run: str, request: pytest.FixtureRequest, tiny: Overrides, tiny_fit: Fit,
    tmp_path: Path,
) -> None:  # fmt: skip
    whole: RunResult = request.getfixturevalue(run)
    options = [*ONLINE, *(POPULATION if run == "several" else ()), "resume=auto"]
    killed = run_forked("-m", "tests.helpers.killed_run", moment, *tiny(tmp_path / "run", *options), folder=tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "run" / "summary.json").exists()
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()
    tiny_fit(tmp_path / "run", *options)
    assert_same_results(whole.directory, tmp_path / "run")
    assert event_steps(tmp_path / "run") == event_steps(whole.directory)
    one, other = (directory / "checkpoints" / "replay.bin" for directory in (whole.directory, tmp_path / "run"))
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_a_member_fine_tunes_as_it_would_alone(tiny_fit: Fit, tmp_path: Path) -> None:
    options = [*ONLINE, "precision=float64", "num_envs=2"]
    together = tiny_fit(tmp_path / "together", *options, "seeds=[3,4]").algorithm
    alone = tiny_fit(tmp_path / "alone", *options, "seed=4").algorithm
    assert together is not None and alone is not None
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(value[0], together.state_dict()[name][1], rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.slow
def test_a_checkpoint_s_networks_go_on_as_in_one_run(lone: RunResult, tiny_fit: Fit, tmp_path: Path) -> None:
    tiny_fit(tmp_path / "offline", *ONLINE, "online_steps=0")
    first = tmp_path / "offline" / "checkpoints" / "last.ckpt"
    tiny_fit(tmp_path / "run", *ONLINE, "offline_steps=999", f"init_from={first}")
    one, other = checkpoint(lone.directory, "last"), checkpoint(tmp_path / "run", "last")
    for part in ("state_dict", "optimizer_states", "noise", "TrainingData", "global_step"):
        assert_equal(one[part], other[part], part)
    rows = metrics(tmp_path / "run")
    assert [int(row["step"]) for row in rows] == [20, 30, 40, 50, 60]
    assert rows[0]["evaluation/success"], "what it starts from is measured"
    logged = read_metrics(tmp_path / "run" / "metrics.csv")
    assert step_axis_label(logged) == "environment steps online"
    assert values_by_member(logged, "evaluation/success")[0].tolist() == [0, 20, 40]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["offline_steps"], summary["online_steps"]) == (20, 40)

    first.unlink()  # it is needed no more
    again = tiny_fit(tmp_path / "run", *ONLINE, "offline_steps=999", f"init_from={first}", "resume=auto")
    assert again.algorithm is None and again.summary == summary


@pytest.mark.slow
def test_an_initial_checkpoint_may_be_of_other_numbers_but_not_of_other_sizes(tiny_fit: Fit, tmp_path: Path) -> None:
    tiny_fit(tmp_path / "offline", *ONLINE, "online_steps=0", "algo.lr=0.01")
    first = f"init_from={tmp_path}/offline/checkpoints/last.ckpt"
    changed = ["algo.lr=0.002", "algo.inv_temp=3", "batch_size=6", "seed=8", "task=2", "data.fraction=0.5"]
    run = tiny_fit(tmp_path / "run", *ONLINE, first, *changed)
    (group,) = checkpoint(run.directory, "last")["optimizer_states"][0]["param_groups"]
    assert group["lr"] == 0.002
    for change, message in {
        "algo=qam": "checkpoint's method is QAME but this run's QAM",
        "seeds=[1,2]": "number of members is 1 but this run's 2",
        "algo.horizon_length=3": "has shape",
        "algo.value_hidden_dims=[16,16,16]": "has shape",
        "precision=float64": "precision is float32 but this run's float64",
        "data.normalize=standard": "data.normalize is none but this run's standard",
    }.items():
        with pytest.raises(QamError, match=message):
            tiny_fit(tmp_path / "other", *ONLINE, first, change)


@pytest.mark.slow
def test_each_member_goes_on_as_the_one_that_it_was(tiny_fit: Fit, tmp_path: Path) -> None:
    grid = ["seeds=[1,2]", "population.inv_temp=[1,3]"]
    tiny_fit(tmp_path / "offline", *ONLINE, "online_steps=0", *grid)
    first = f"init_from={tmp_path}/offline"
    for change, message in {
        "seeds=[2,1]": "seed=1,inv_temp=1 of the checkpoint would continue as seed=2,inv_temp=1: give the same seeds",
        "population.inv_temp=[3,1]": "seed=1,inv_temp=1 of the checkpoint would continue as seed=1,inv_temp=3",
        "population.lr=[1e-3,1e-4]": "seed=1,inv_temp=1 of the checkpoint would continue as seed=1,lr",
    }.items():
        kept = [word for word in grid if word.split("=")[0].split(".")[0] != change.split("=")[0].split(".")[0]]
        with pytest.raises(QamError, match=message):
            tiny_fit(tmp_path / "run", *ONLINE, first, *kept, change)
    assert not (tmp_path / "run" / "checkpoints").exists()
    tiny_fit(tmp_path / "run", *ONLINE, first, *grid, "algo.lr=1e-3")


@pytest.mark.slow
def test_an_offline_run_can_be_given_an_online_phase(lone: RunResult, tiny_fit: Fit, tmp_path: Path) -> None:
    tiny_fit(tmp_path / "run", *ONLINE, "online_steps=0")
    tiny_fit(tmp_path / "run", *ONLINE, "resume=auto")
    assert_equal(checkpoint(lone.directory, "last")["state_dict"], checkpoint(tmp_path / "run", "last")["state_dict"])
    with pytest.raises(
        QamError, match="the finished run in .* has replay_mode=append but this run replay_mode=balanced"
    ):
        tiny_fit(tmp_path / "run", *ONLINE, "resume=auto", "replay_mode=balanced")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    {
        "num_envs=2": "num_envs=1 but this run num_envs=2",
        "replay_mode=balanced": "replay_mode=append but this run replay_mode=balanced",
        "offline_steps=25": "is past its offline_steps=20 but this run has offline_steps=25",
        "online_steps=30": "has 40 environment steps but online_steps=30: give at least as many",
    }.items(),
)
def test_an_online_run_of_other_settings_is_not_continued(
    change: str, message: str, lone: RunResult, tiny_fit: Fit, tmp_path: Path
) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.write_bytes((lone.directory / "checkpoints" / "last.ckpt").read_bytes())
    with pytest.raises(QamError, match=message):
        tiny_fit(tmp_path / "run", *ONLINE, change, "resume=auto")


@pytest.mark.slow
def test_a_checkpoint_without_its_buffer_is_refused(lone: RunResult, tiny_fit: Fit, tmp_path: Path) -> None:
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.write_bytes((lone.directory / "checkpoints" / "last.ckpt").read_bytes())
    with pytest.raises(QamError, match=r"replay\.bin' does not belong to the checkpoint"):
        tiny_fit(tmp_path / "run", *ONLINE, "online_steps=50", "resume=auto")


@pytest.mark.slow
def test_online_only(tiny_fit: Fit, tmp_path: Path) -> None:
    run = tiny_fit(tmp_path / "run", *ONLINE, "offline_steps=0", "replay_mode=balanced")
    assert run.summary["updates"] == UPDATES - 20
    assert [int(row["step"]) for row in metrics(tmp_path / "run")] == [0, 10, 20, 30, 40]
    found = read_metrics(tmp_path / "run" / "metrics.csv")
    assert (
        found["phase"].tolist() == [0, 1, 1, 1, 1] and np.isnan(found["critic/loss"]).tolist() == [True] + [False] * 4
    )


@pytest.mark.slow
def test_a_failing_environment_leaves_a_usable_checkpoint(
    tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step, calls = Host.step_chunk, 0

    def breaks(host: Host, *arguments: Any) -> Any:
        nonlocal calls
        calls += arguments[0].shape[1] == 1  # evaluation steps whole chunks
        if calls == 2 + 26:  # after each of its two environments was tried
            raise HostFailure("environment 0 failed in step (RuntimeError: the motor is hot)")
        return step(host, *arguments)

    monkeypatch.setattr(Host, "step_chunk", breaks)
    with pytest.raises(EnvironmentFailure, match=r"the motor is hot\); last good checkpoint: .* \(online step 25\)"):
        tiny_fit(tmp_path / "run", *ONLINE)
    monkeypatch.undo()
    again = tiny_fit(tmp_path / "run", *ONLINE, "resume=auto")
    assert "continuing from online step 25" in (out := capsys.readouterr().out)
    assert "the environments' states were lost: new episodes begin" in out
    assert again.summary["updates"] == UPDATES
    assert [int(row["step"]) for row in metrics(tmp_path / "run")] == [10, 20, 30, 40, 50, 60]


@pytest.mark.slow
def test_an_evaluation_that_failed_is_made_after_all(
    lone: RunResult, tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, evaluations = Evaluator.__call__, 0

    def breaks(evaluator: Evaluator, *arguments: Any) -> Any:
        nonlocal evaluations
        evaluations += 1
        if evaluations == 2:
            raise EnvironmentFailure("environment 0 failed in step (RuntimeError: the motor is hot)")
        return step(evaluator, *arguments)

    monkeypatch.setattr(Evaluator, "__call__", breaks)
    with pytest.raises(EnvironmentFailure, match="last good checkpoint"):
        tiny_fit(tmp_path / "run", *ONLINE)
    monkeypatch.undo()
    tiny_fit(tmp_path / "run", *ONLINE, "resume=auto")
    assert metrics(tmp_path / "run") == metrics(lone.directory)


@pytest.mark.slow
def test_plots_show_where_the_online_phase_begins(tiny_fit: Fit, tmp_path: Path) -> None:
    run = tiny_fit(tmp_path / "run", *ONLINE, plots=True)
    assert {"plots/success.png", "plots/losses.png", "plots/trajectories.png"} <= set(run.summary["plots"])


@pytest.mark.slow
def test_a_checkpoint_from_another_kind_of_device(tiny_fit: Fit, tmp_path: Path) -> None:
    """A GPU's generators save 16 bytes: its streams cannot go on here, its networks can."""
    tiny_fit(tmp_path / "run", *ONLINE, "online_steps=0")
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    for part in (content["TrainingData"]["sampler"], content["noise"]):
        part["generators"] = [torch.zeros(16, dtype=torch.uint8)]
    torch.save(content, path)
    with pytest.raises(QamError, match="from another device type"):
        tiny_fit(tmp_path / "run", *ONLINE, "resume=auto")
    run = tiny_fit(tmp_path / "new", *ONLINE, f"init_from={path}")
    assert run.summary["updates"] == UPDATES


@pytest.mark.slow
def test_an_initial_checkpoint_that_does_not_fit_leaves_an_earlier_run_alone(
    lone: RunResult, tiny_fit: Fit, tmp_path: Path
) -> None:
    tiny_fit(tmp_path / "run", "offline_steps=2", "eval_episodes=1", "logger=csv")
    first = f"init_from={lone.directory}/checkpoints/last.ckpt"
    with pytest.raises(QamError, match="checkpoint's method is QAME"):
        tiny_fit(tmp_path / "run", *ONLINE, "algo=qam", first)
    assert [path.name for path in tmp_path.iterdir()] == ["run"] and (tmp_path / "run" / "summary.json").exists()
