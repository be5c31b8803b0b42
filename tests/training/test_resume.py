"""A run that was killed at any moment continues as if nothing had happened."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.config.instantiate import instances
from qam_torch.data.datamodule import TrainingData
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.rundir.metrics_file import MetricsFile, read_metrics
from qam_torch.system.signals import Terminated
from qam_torch.training.callbacks.ending import EndingCallback
from qam_torch.training.evaluator import Evaluator
from qam_torch.training.fit import RunResult
from qam_torch.types import QamError
from tests.helpers.forked import Forked, run_forked
from tests.helpers.runs import ROOT, Fit, environment, one_sentence

Overrides = Callable[..., list[str]]


def assert_equal(one: Any, other: Any, where: str = "") -> None:
    """The same tensors, bit for bit, in the same structure."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_equal(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other), where
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_equal(a, b, f"{where}/{i}")
    else:
        assert one == other, where


def checkpoint(directory: Path, name: str) -> dict[str, Any]:
    content = torch.load(directory / "checkpoints" / f"{name}.ckpt", weights_only=True)
    del content["qam_torch"]["seconds"], content["loops"]  # Lightning's own progress counts batches it has fetched
    return content


def metrics(directory: Path) -> list[dict[str, str]]:
    with open(directory / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return [{key: value for key, value in row.items() if not key.endswith("seconds")} for row in rows]


def outcome(directory: Path) -> dict[str, Any]:
    summary = json.loads((directory / "summary.json").read_text())
    return {key: summary[key] for key in ("updates", "seeds", "final", "behavior", "best", "data")}


def assert_same_results(one: Path, other: Path) -> None:
    for name in ("last", "best"):
        assert_equal(checkpoint(one, name), checkpoint(other, name), name)
    assert metrics(one) == metrics(other)
    assert outcome(one) == outcome(other)


@pytest.fixture(scope="module")
def uninterrupted(request: pytest.FixtureRequest, tiny_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """-> which seeds, the run."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    return request.param, tiny_fit(directory, request.param, "compare_behavior=true")


@pytest.mark.parametrize(
    ("uninterrupted", "moment"),
    [
        ("seed=5", "update:14"),
        pytest.param("seed=5", "save:3", marks=pytest.mark.slow),
        pytest.param("seed=5", "summary:1", marks=pytest.mark.slow),
        pytest.param("seeds=[1,2,3]", "evaluation:2", marks=pytest.mark.slow),
    ],
    indirect=["uninterrupted"],
)
def test_a_killed_run_continues_bit_for_bit(
    moment: str, uninterrupted: tuple[str, RunResult], tiny: Overrides, tiny_fit: Fit, tmp_path: Path
) -> None:
    seeds, whole = uninterrupted
    options = [seeds, "compare_behavior=true", "resume=auto"]
    killed = run_forked("-m", "tests.helpers.killed_run", moment, *tiny(tmp_path / "run", *options), folder=tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "run" / "summary.json").exists()
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").exists()
    if moment.startswith("save"):
        assert list((tmp_path / "run" / "checkpoints").glob(".*.tmp"))
    tiny_fit(tmp_path / "run", *options)
    assert_same_results(whole.directory, tmp_path / "run")
    assert not list(tmp_path.glob("run.old-*"))
    assert not list((tmp_path / "run" / "checkpoints").glob(".*.tmp"))
    assert event_steps(tmp_path / "run") == event_steps(whole.directory)


class Signal:
    """Sends SIGTERM to this process at the nth call of a method."""

    def __init__(self, method: Callable[..., Any], call: int) -> None:
        self.method, self.calls_left = method, call

    def __get__(self, owner: Any, kind: type) -> Callable[..., Any]:
        def called(*arguments: Any, **options: Any) -> Any:
            self.calls_left -= 1
            if self.calls_left == 0:
                signal.raise_signal(signal.SIGTERM)
            return self.method(owner, *arguments, **options)

        return called


@pytest.mark.parametrize("uninterrupted", ["seed=5"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "method", "call", "saved"),
    [
        (TrainingData, "draw", 3, 17),  # in the middle of a trainer step
        pytest.param(EnvironmentPool, "step_chunk", 5, 20, marks=pytest.mark.slow),  # in the first evaluation
        pytest.param(Evaluator, "__call__", 2, 40, marks=pytest.mark.slow),  # in that at the last step
    ],
)
def test_a_terminated_run_leaves_a_checkpoint_and_continues_bit_for_bit(
    kind: type,
    method: str,
    call: int,
    saved: int,
    uninterrupted: tuple[str, RunResult],
    tiny_fit: Fit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds, whole = uninterrupted
    options = [seeds, "compare_behavior=true", "resume=auto", "checkpoint_every=40"]
    before = signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(kind, method, Signal(getattr(kind, method), call))
        with pytest.raises(Terminated, match=rf"by SIGTERM; last checkpoint: .*last.ckpt \(update {saved}\)"):
            tiny_fit(tmp_path / "run", *options)
    assert signal.getsignal(signal.SIGTERM) is before
    assert not (tmp_path / "run" / "summary.json").exists()
    tiny_fit(tmp_path / "run", *options)
    assert_same_results(whole.directory, tmp_path / "run")
    assert event_steps(tmp_path / "run") == event_steps(whole.directory)


def test_a_signal_after_the_last_batch_ends_the_run(
    tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(trainer: L.Trainer, algorithm: Algorithm, *_: object) -> None:
        callback = next(one for one in trainer.callbacks if isinstance(one, EndingCallback))  # type: ignore[attr-defined]
        callback.on_train_start(trainer, algorithm)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("qam_torch.training.fit.train", train)
    with pytest.raises(Terminated, match="by SIGTERM; last checkpoint: none"):
        tiny_fit(tmp_path / "run")


def event_steps(directory: Path) -> dict[str, list[tuple[int, float]]]:
    """TensorBoard's events as it shows them: tag -> (step, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(directory / "tensorboard"), size_guidance={"scalars": 0}).Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.endswith("seconds") and "seconds/" not in tag]
    assert tags
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


def test_events_of_a_run_continued_at_once_are_read_in_order(
    tiny: Overrides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard reads files by name: second, host, process. A later process may well have the smaller number."""
    config = qam_torch.compose(tiny(tmp_path / "run"))
    for process, step in ((999, 0), (111, 10)):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda process=process: process)
            (logger,) = instances(config, "logger")
            logger.resume_at(step)
            for later in (step + 10, step + 20):
                logger.log_metrics({"critic/loss": float(process)}, later)
            logger.finalize("success")
    assert event_steps(tmp_path / "run") == {"critic/loss": [(10, 999.0), (20, 111.0), (30, 111.0)]}


@pytest.mark.slow
def test_the_command_is_killed_at_a_random_moment(tiny: Overrides, tiny_fit: Fit, tmp_path: Path) -> None:
    longer = ["offline_steps=160", "eval_every=160", "checkpoint_every=20", "log_every=20", "resume=auto", "algo=qam_e"]
    words = ["qam-train", *tiny(tmp_path / "run", *longer)]
    process = Forked(words, tmp_path / "out", tmp_path / "err", ROOT, environment())
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    until = time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.2))
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.err.read_text()
    assert last.exists()
    tiny_fit(tmp_path / "run", *longer)
    tiny_fit(tmp_path / "whole", *longer)
    assert_same_results(tmp_path / "whole", tmp_path / "run")


def test_a_finished_run_says_so_and_does_nothing(
    finished: RunResult, tiny: Overrides, train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.directory.rglob("*")}
    assert train(*tiny(finished.directory, "compare_behavior=true", "resume=auto")) == 0
    captured = capsys.readouterr()
    assert "this run is finished (40 updates" in captured.out and "nothing to do" in captured.out
    assert captured.err == ""
    assert before == {path: path.stat().st_mtime_ns for path in finished.directory.rglob("*")}


@pytest.mark.parametrize("change", ["algo.lr=0.01", "seed=4", "algo=qam_f", "batch_size=9", "task=2", "seeds=[0,1]"])
def test_a_finished_run_of_other_settings_is_not_taken_for_this_one(
    change: str, finished: RunResult, tiny_fit: Fit
) -> None:
    with pytest.raises(QamError, match="the finished run in .* but this run .*: give the same settings"):
        tiny_fit(finished.directory, "compare_behavior=true", "resume=auto", change)
    assert (finished.directory / "summary.json").exists()


CHANGES = {
    "algo.lr=0.01": "lr=0.0003 but this run lr=0.01",
    "algo=qam_f": "algorithm=QAM but this run algorithm=QAMF",
    "algo.actor_hidden_dims=[8,8]": "actor_hidden_dims=",
    "algo.horizon_length=3": "horizon_length=2 but this run horizon_length=3",
    "seed=4": "seeds=",
    "seeds=[0,1]": "seeds=",
    "batch_size=9": "batch_size=8 but this run batch_size=9",
    "task=2": "task=1 but this run task=2",
    "data.fraction=0.5": "data.fraction=1.0 but this run data.fraction=0.5",
    "precision=float64": "precision=float32 but this run precision=float64",
    "data.normalize=standard": "data.normalize=none but this run data.normalize=standard",
    "execute_steps=1": "execute_steps=None but this run execute_steps=1",
}


@pytest.fixture(scope="module")
def unfinished(tiny_fit: Fit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("unfinished") / "run"
    tiny_fit(directory)
    (directory / "summary.json").unlink()
    return directory


@pytest.mark.parametrize(("change", "message"), CHANGES.items(), ids=list(CHANGES))
def test_a_checkpoint_of_another_run_is_refused(change: str, message: str, unfinished: Path, tiny_fit: Fit) -> None:
    before = (unfinished / "checkpoints" / "last.ckpt").read_bytes()
    with pytest.raises(QamError) as error:
        tiny_fit(unfinished, "resume=auto", change)
    assert message in str(error.value) and "give the same settings" in str(error.value)
    assert (unfinished / "checkpoints" / "last.ckpt").read_bytes() == before
    assert not list(unfinished.parent.glob("run.old-*"))


def test_fewer_updates_than_made_are_refused(unfinished: Path, tiny_fit: Fit) -> None:
    with pytest.raises(QamError, match="has 40 updates but offline_steps=20: give at least as many"):
        tiny_fit(unfinished, "resume=auto", "offline_steps=20")


@pytest.mark.slow
def test_a_run_can_be_made_longer(tiny_fit: Fit, tmp_path: Path) -> None:
    """Also where the old end was no multiple of anything, so that the steps fall elsewhere."""
    tiny_fit(tmp_path / "run", "offline_steps=41", "logger=csv")
    again = tiny_fit(tmp_path / "run", "offline_steps=60", "logger=csv", "resume=auto")
    assert again.summary["updates"] == 60
    assert checkpoint(tmp_path / "run", "last")["global_step"] == 60
    assert [int(row["update"]) for row in metrics(tmp_path / "run")] == [10, 20, 30, 40, 41, 50, 60]


@pytest.mark.slow
def test_without_resume_an_earlier_run_is_kept_beside(tiny_fit: Fit, tmp_path: Path) -> None:
    for _ in range(3):
        tiny_fit(tmp_path / "run", "offline_steps=2", "eval_episodes=1", "logger=csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "run.old-1", "run.old-2"]
    for path in tmp_path.iterdir():
        assert (path / "summary.json").exists() and (path / "checkpoints" / "last.ckpt").exists()


@pytest.mark.slow
def test_a_damaged_checkpoint_is_reported(
    tiny: Overrides, unfinished: Path, tmp_path: Path, train: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (unfinished / "checkpoints" / "last.ckpt").read_bytes()
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    last.parent.mkdir(parents=True)
    for content in (whole[: len(whole) // 2], b"", b"not a checkpoint"):
        last.write_bytes(content)
        assert train(*tiny(tmp_path / "run", "resume=auto")) == 1
        assert "is not a readable checkpoint" in one_sentence(capsys.readouterr().err)
        assert last.read_bytes() == content


HEADER = "step,phase,update,seed,seconds,a\n"


@pytest.mark.parametrize("content", ["", "step,pha", HEADER, f"{HEADER}5,offline,5,0,1,2\n7,off"])
def test_metrics_left_by_a_kill_are_mended(content: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(content)
    file = MetricsFile(tmp_path / "metrics.csv", seeds=(0,))
    file.restart(6)
    file.write({"step": 7, "phase": "offline", "update": 7}, 2.0, {"a": [3.0]})
    rows = metrics(tmp_path)
    assert [row["update"] for row in rows] == (["5", "7"] if "5,off" in content else ["7"])
    assert rows[-1]["a"] == "3.0"


def test_a_metric_that_comes_up_later_gets_a_column(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.csv", seeds=(3, 4))
    file.write({"step": 1, "phase": "offline", "update": 1}, 0.5, {"a": [1.0, 2.0]})
    file.write({"step": 2, "phase": "online", "update": 1}, 0.7, {"b": [float("nan"), 5.0]})
    rows = metrics(tmp_path)
    assert [(row["phase"], row["seed"], row["a"], row["b"]) for row in rows] == [
        ("offline", "3", "1.0", ""),
        ("offline", "4", "2.0", ""),
        ("online", "3", "", ""),
        ("online", "4", "", "5.0"),
    ]
    assert read_metrics(tmp_path / "metrics.csv")["phase"].tolist() == [0, 0, 1, 1]
