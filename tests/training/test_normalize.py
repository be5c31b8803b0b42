"""`data.normalize=standard` and `execute_steps` in whole runs, offline and online."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import qam_torch
from qam_torch.data.generation.generate import generate
from qam_torch.envs.step_metrics import Step
from qam_torch.rundir.checkpoints import SECTION, read_checkpoint
from qam_torch.types import QamError
from tests.helpers.runs import Fit
from tests.training.test_resume import assert_same_results

NORMALIZE = ("data.normalize=standard", "logger=csv", "offline_steps=20")
ONLINE = (*NORMALIZE, "online_steps=20", "start_training=8", "execute_steps=1")

pytestmark = pytest.mark.usefixtures("short_episodes")


def last_x(value: float | None, step: Step) -> float:
    return float(step.observation[0])


def statistics_of(file: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Of the observations in a file of OGBench's format, whose last row of a trajectory is only a next observation."""
    arrays = np.load(file)
    acted_in = arrays["observations"][arrays["terminals"] == 0].astype(np.float64)
    return acted_in.mean(0), acted_in.std(0)


def stored(run: Path) -> tuple[np.ndarray, np.ndarray]:
    state = read_checkpoint(run)["state_dict"]
    return state["normalization.mean"][0, 0].numpy(), state["normalization.std"][0, 0].numpy()


def test_a_run_stores_and_applies_the_statistics_of_its_data(
    tiny_fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tiny_fit(tmp_path / "run", *ONLINE)
    assert "  observations are normalized by their mean and standard deviation\n" in capsys.readouterr().out
    mean, std = statistics_of(run.summary["data"]["path"])
    for found, expected in zip(stored(tmp_path / "run"), (mean, std), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)

    policy = qam_torch.load_policy(tmp_path / "run")
    assert policy.execute_steps == 1 and policy.horizon_length == 2
    plain = qam_torch.load_policy(tmp_path / "run")
    plain.algorithm.normalize(torch.zeros(2), torch.ones(2))
    raw = np.array([[3.0, 4.0], [20.0, 1.0]])
    np.testing.assert_allclose(policy(raw), plain((raw - mean) / std), rtol=1e-4, atol=1e-5)

    own, one, two = (
        qam_torch.evaluate(tmp_path / "run", 2, workers=0, execute_steps=k, evaluation_metrics=[last_x])
        for k in (None, 1, 2)
    )
    np.testing.assert_array_equal(own.metrics["last_x"], one.metrics["last_x"])
    assert (own.metrics["last_x"] != two.metrics["last_x"]).all()


@pytest.mark.slow
def test_a_continued_run_is_the_same(tiny_fit: Fit, tmp_path: Path) -> None:
    whole = tiny_fit(tmp_path / "whole", *ONLINE)
    tiny_fit(tmp_path / "part", *ONLINE, "online_steps=0")
    tiny_fit(tmp_path / "part", *ONLINE, "resume=auto")
    assert_same_results(whole.directory, tmp_path / "part")


@pytest.mark.slow
def test_an_online_phase_keeps_the_statistics_that_the_networks_know(tiny_fit: Fit, tmp_path: Path) -> None:
    tiny_fit(tmp_path / "offline", *NORMALIZE)
    tiny_fit(tmp_path / "online", *ONLINE, "data.fraction=0.3", f"init_from={tmp_path}/offline")
    tiny_fit(tmp_path / "fresh", *ONLINE, "data.fraction=0.3")
    for own, first, other in zip(*(stored(tmp_path / name) for name in ("online", "offline", "fresh")), strict=True):
        assert np.array_equal(own, first) and not np.array_equal(own, other)
    assert read_checkpoint(tmp_path / "online")[SECTION]["run"]["normalize"] == "standard"
    with pytest.raises(QamError, match="the checkpoint's data.normalize is standard but this run's none"):
        tiny_fit(tmp_path / "other", *ONLINE, "data.normalize=none", f"init_from={tmp_path}/offline")


@pytest.mark.slow
def test_of_many_files_the_first_counts_at_whichever_the_run_continues(tiny_fit: Fit, tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for number in range(2):
        file = tmp_path / "shards" / f"part-{number}.npz"
        generate("pointmaze-medium-navigate-v0", file, 300, seed=number, workers=1)
    words = [*NORMALIZE, f"data.path={tmp_path}/shards", "data.shard_every=6"]
    tiny_fit(tmp_path / "run", *words, "offline_steps=8")
    tiny_fit(tmp_path / "run", *words, "resume=auto")
    for found, expected in zip(stored(tmp_path / "run"), statistics_of(tmp_path / "shards/part-0.npz"), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_both_are_in_the_name_of_the_run() -> None:
    config = qam_torch.compose(["data.normalize=standard", "execute_steps=2"])
    assert "data.normalize=standard" in config.run_dir and "execute_steps=2" in config.run_dir


@pytest.mark.slow
def test_the_command_executes_as_many_steps_as_given(
    tiny_fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from qam_torch.cli.evaluate import main
    from qam_torch.inference import evaluate as module

    tiny_fit(tmp_path / "run", "offline_steps=4", "logger=csv")
    executed: list[int | None] = []
    inner: Callable[..., object] = module.evaluate_members

    def spy(*arguments: object, **options: int | None) -> object:
        executed.append(options["execute_steps"])
        return inner(*arguments, **options)

    monkeypatch.setattr(module, "evaluate_members", spy)
    for words in ([], ["--execute-steps", "1"]):
        assert main([str(tmp_path / "run"), "--episodes=1", "--workers=0", *words]) == 0
    assert executed == [None, 1]
