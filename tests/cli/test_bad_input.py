"""Bad input: one sentence, exit status 1, nothing computed, nothing lost."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qam_torch.algorithms import Algorithm, DivergedError
from qam_torch.rundir.checkpoints import read_checkpoint
from qam_torch.training.checkpoint_io import AtomicCheckpointIO
from qam_torch.types import QamError
from tests.helpers.runs import Fit, one_sentence, unrecorded

Overrides = Callable[..., list[str]]
Train = Callable[..., int]

MISTAKES = {
    "algo=qan": "unknown algo 'qan': did you mean qam",
    "env=cube-tripel-play": "unknown env 'cube-tripel-play': did you mean cube-triple-play",
    "algo.inv_tmp=3": "unknown key 'algo.inv_tmp': did you mean algo.inv_temp?",
    "algo.horizon_length=2001": "horizon_length=2001 exceeds the longest episode (1000 steps): use 1000 or less",
    "algo.inv_temp=-1": "inv_temp=-1 is out of range",
    "algo.inv_temp=abc": "algo.inv_temp=abc is out of range",
    "algo.inv_temp=.nan": "algo.inv_temp=",
    "algo.inv_temp=[1,2]": "algo.inv_temp=[1, 2] is out of range: expected one number, or one for each of 1 members",
    "algo=fql algo/discretization=ancestral": "algo=fql has no algo/discretization: leave it out, or use",
    "algo=fql algo/discretization=ancestral x/y=1": "algo=fql has no algo/discretization",
    "algo/discretization=nothing": "unknown algo/discretization 'nothing': expected one of ancestral, shifted",
    "algo/discretization=ancestral algo.discretization.sprd=1": "did you mean algo.discretization.spread?",
    "algo.discretization=ancestral": "expected keys with a _target_; algo/discretization=ancestral chooses a config",
    "algo.discretization._target_=subprocess.getoutput": "is not a subclass of Discretization",
    "data={fracton:1}": "unknown key 'data.fracton': did you mean data.fraction?",
    "algo.discretization={spread:1}": "unknown key 'algo.discretization.spread'",
    "algo.solver=[euler]": "algo.solver=['euler'] is out of range: expected euler or midpoint",
    "precision=[float64]": "precision=['float64'] is out of range: expected float32, bf16-mixed, float64",
    "env.source=[npz]": "env.source=['npz'] is out of range: expected ogbench, minari, npz, hdf5",
    "env.source=..Suite": "env.source=..Suite cannot be found",
    "algo._target_=..Method": "algo._target_=..Method cannot be found",
    "trainer/x=1": "unknown key 'trainer/x': did you mean trainer?",
    "experiment=paper algo=fql algo.fqlalpha=3": "unknown key 'algo.fqlalpha': did you mean algo.fql_alpha",
    "experiment=paper algo=fql algo/discretization=ancestral": "algo=fql has no algo/discretization",
    "algo.flow_steps=0": "algo.flow_steps=0 is out of range: expected an integer >= 1",
    "algo.flow_steps=2.5": "algo.flow_steps=2.5 is out of range",
    "algo.num_qs=0": "algo.num_qs=0 is out of range",
    "algo.best_of_n=0": "algo.best_of_n=0 is out of range",
    "algo.horizon_length=0": "algo.horizon_length=0 is out of range",
    "algo.rho=-1": "algo.rho=-1 is out of range",
    "algo.rho=abc": "algo.rho=abc is out of range",
    "algo.discount=1.5": "algo.discount=1.5 is out of range",
    "algo.lr=0": "algo.lr=0 is out of range",
    "population.inv_temp=[1,-1]": "population.inv_temp=[1, -1] is out of range: expected a number >= 0",
    "seeds=[1,2] population.inv_temp=[1,-1]": "population.inv_temp=[1, -1] is out of range: expected a number >= 0",
    "seeds=[1,2] population.inv_temp=[1,3] algo.rho=[-1,2]": "algo.rho=[-1, 2] is out of range: expected a number >= 0",
    "algo.lr=null": "algo.lr=None is out of range",
    "algo.target_update_rate=2": "algo.target_update_rate=2 is out of range",
    "algo.clip_grad=3": "algo.clip_grad=3 is out of range: expected true or false",
    "algo.actor_hidden_dims=16": "algo.actor_hidden_dims=16 is out of range: expected a list",
    "algo.value_hidden_dims=[]": "algo.value_hidden_dims=[] is out of range: expected a list",
    "+algo.fql_alpha=3": "algo=qam has no option 'fql_alpha'",
    "++algo.inv_tmp=3": "algo=qam has no option 'inv_tmp': did you mean inv_temp",
    "algo._target_=nowhere.Nothing": "algo._target_=nowhere.Nothing cannot be found (No module named 'nowhere')",
    "algo=3": "unknown algo '3'",
    "data=x": "data=x is out of range",
    "task=6": "task=6 is out of range",
    "offline_steps=0": "offline_steps=0 and online_steps=0 leave nothing to do",
    "offline_steps=1e4": "offline_steps=10000.0 is out of range: expected an integer >= 0",
    "online_steps=-1": "online_steps=-1 is out of range: expected an integer >= 0",
    "online_steps=5 num_envs=2": "online_steps=5 cannot be divided among num_envs=2: give a multiple",
    "online_steps=5 num_envs=0": "num_envs=0 is out of range: expected an integer >= 1",
    "online_steps=5 utd_ratio=0.5": "utd_ratio=0.5 is out of range: expected an integer >= 1",
    "online_steps=5 start_training=0": "start_training=0 is out of range: expected an integer >= 1",
    "online_steps=5 replay_mode=ring": "replay_mode=ring is out of range: expected append or balanced",
    "online_steps=5 buffer_size=3": "buffer_size=3 is too small for num_envs=1: expected at least twice",
    "online_steps=5 start_training=2 replay_mode=balanced batch_size=7": "batch_size=7 is out of range: expected an ev",
    "online_steps=9 replay_mode=balanced start_training=1": "start_training=1 is out of range: expected at least 2",
    "online_steps=5 start_training=1 init_from=/nowhere.ckpt": "no checkpoint at '/nowhere.ckpt'",
    "online_steps=3000": "start_training=5000 exceeds online_steps=3000, so that no update would be made",
    "init_from=a.ckpt": "init_from=a.ckpt is out of range: expected null without an online phase",
    "online_workers=-1": "online_workers=-1 is out of range: expected an integer >= 0",
    "batch_size=0": "batch_size=0 is out of range",
    "batch_size=many": "batch_size=many is out of range",
    "eval_every=0": "eval_every=0 is out of range",
    "eval_episodes=0": "eval_episodes=0 is out of range",
    "eval_workers=-1": "eval_workers=-1 is out of range",
    "num_threads=0": "num_threads=0 is out of range",
    "seed=-1": "seed=-1 is out of range",
    "seed=one": "seed=one is out of range",
    "seeds=5": "seeds=5 is out of range: expected a list",
    "seeds=[]": "seeds=[] is out of range",
    "seeds=[1,1]": "seeds=[1, 1] is out of range: expected at least one seed, all different",
    "resume=yes": "is out of range: expected false or auto",
    "precision=bf16": "precision=bf16 is out of range: expected float32, bf16-mixed, float64",
    "env.reward=shaped": "env.reward=shaped is out of range",
    "env.dataset=pointmaze-tiny-navigate-v0": "pointmaze-tiny-navigate-v0",
    "data.fraction=0": "data.fraction=0 is out of range",
    "data.fraction=half": "data.fraction=half is out of range",
    "data.generate_transitions=0": "data.generate_transitions=0 is out of range",
    "data.seed=-1": "data.seed=-1 is out of range",
    "trainer.accelerator=tpux": "trainer.accelerator=tpux cannot be used here",
    "trainer.devices=[0]": "trainer.accelerator=cpu cannot be used here",
    "dtype=float64": "unknown key 'dtype': it is now precision, write precision=float64",
    "trainer.precision=half": "unknown key 'trainer.precision': it is now precision, write precision=float32",
    "precision=full": "unknown value precision=full: write precision=float32",
    "resume=never": "unknown value resume=never: write resume=false",
    "experiment=train": "unknown value experiment=train: write experiment=default",
    "save_every=10": "unknown key 'save_every': it is now checkpoint_every, write checkpoint_every=10",
    "buffer=balanced": "unknown key 'buffer': it is now replay_mode, write replay_mode=balanced",
    "data.proportion=0.5": "unknown key 'data.proportion': it is now data.fraction, write data.fraction=0.5",
    "~data.swap_every": "unknown key 'data.swap_every': it is now data.shard_every, write",
    "hydra/launcher=qam_joblib": "hydra/launcher=qam_joblib requires several runs: add -m, or leave it out",
    "--hlp": "unrecognized arguments: --hlp: see `qam-train --help`",
    "data.path=/nowhere/x.npz": "data file /nowhere/x.npz does not exist",
}


@pytest.mark.parametrize(("override", "message"), MISTAKES.items(), ids=list(MISTAKES))
def test_one_sentence_and_status_one(
    override: str, message: str, tiny: Overrides, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(Algorithm, "training_step", lambda *_: pytest.fail("something was computed"))
    assert train(*tiny(tmp_path / "run", *override.split())) == 1
    captured = capsys.readouterr()
    assert message in one_sentence(captured.err)
    assert captured.out.count("\n") <= 1, "at most the first line"
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.parametrize("words", [("algo=qam_e", "+algo.fql_alpha=300"), ("algo=qam_f", "+algo.edit_scale=0.1")])
def test_options_that_contradict(
    words: tuple[str, ...], tiny: Overrides, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*tiny(tmp_path / "run", *words)) == 1
    assert "exclude each other: use algo=qam_f with fql_alpha" in one_sentence(capsys.readouterr().err)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_where_none_is(tiny: Overrides, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in tiny(tmp_path / "run", "trainer=gpu") if word != "trainer=cpu"]
    assert train(*words) == 1
    assert "trainer.accelerator=gpu cannot be used here" in one_sentence(capsys.readouterr().err)


def test_wandb_where_it_is_not_installed(
    tiny: Overrides, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "wandb" else find(name, *a))
    assert train(*tiny(tmp_path / "run", "logger=wandb")) == 1
    assert "logger=wandb requires the wandb package: pip install 'wandb>=" in one_sentence(capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("option", ["run_dir", "runs_root", "data.directory"])
def test_a_directory_that_cannot_be_written(
    option: str, tiny: Overrides, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below a regular file, because tests may run as root, whom permissions do not stop."""
    (tmp_path / "file").write_text("")
    words = [word for word in tiny(tmp_path / "run") if not word.startswith(option) and option != "runs_root"]
    if option == "runs_root":
        words = [word for word in tiny("") if not word.startswith("run_dir")]
    assert train(*words, f"{option}={tmp_path}/file/below") == 1
    assert "cannot be written to (Not a directory): give another with" in one_sentence(capsys.readouterr().err)


# Data


def broken(arrays: dict[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    arrays = {key: array.copy() for key, array in arrays.items()}
    if kind == "NaN":
        arrays["observations"][3, 1] = np.nan
    elif kind == "lengths":
        arrays["actions"] = arrays["actions"][:-1]
    elif kind == "shapes":
        arrays["actions"] = arrays["actions"][:, 0]
    elif kind == "missing":
        del arrays["actions"]
    elif kind == "sizes":
        arrays["observations"] = np.tile(arrays["observations"], (1, 3))
    return arrays


FILES = {
    "NaN": "'observations' has NaN or infinity, first in row 3",
    "lengths": "all arrays need one row per time step",
    "shapes": "'actions' has shape",
    "missing": "has no 'actions'",
    "sizes": "'observations' has size 6 but the environment's is 2",
    "truncated": "truncated",
    "text": "not an npz file",
    "directory": "has no .npz files to train on",
}


@pytest.mark.parametrize(("kind", "message"), FILES.items(), ids=list(FILES))
def test_a_bad_data_file(
    kind: str, message: str, tiny: Overrides, train: Train, data_directory: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (good,) = data_directory.glob("*seed0.npz")
    path = tmp_path / "data.npz"
    if kind == "truncated":
        path.write_bytes(good.read_bytes()[:5000])
    elif kind == "text":
        path.write_text("not an archive")
    elif kind == "directory":
        path.mkdir()
    else:
        with np.load(good) as file:
            np.savez(path, **broken(dict(file), kind))  # type: ignore[arg-type]
    assert train(*tiny(tmp_path / "run", f"data.path={path}")) == 1
    assert message in one_sentence(capsys.readouterr().err)
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_pipe_is_not_waited_for(
    tiny: Overrides, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    assert train(*tiny(tmp_path / "run", f"data.path={tmp_path}/pipe.npz")) == 1
    assert "is not a file" in one_sentence(capsys.readouterr().err)


# A full disk


@pytest.mark.slow
def test_a_full_disk_keeps_the_previous_checkpoint(
    tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved, calls = torch.save, 0

    def full(content: Any, file: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            file.write(b"some of it")
            raise OSError(28, "No space left on device")
        saved(content, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(QamError, match="could not save checkpoint .* the previous one is kept: free some disk space"):
        tiny_fit(tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    assert read_checkpoint(folder / "last.ckpt")["qam_torch"]["update"] in (10, 20)
    assert not list(folder.glob(".*"))
    monkeypatch.setattr(torch, "save", saved)
    assert tiny_fit(tmp_path / "run", "resume=auto").summary["updates"] == 40


def test_a_real_limit_on_a_files_size(tmp_path: Path) -> None:
    """Files may not grow beyond a few kilobytes, as on a disk that fills up."""
    target = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"content": torch.arange(10)}, target)
    before = target.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(QamError, match="could not save checkpoint .* the previous one is kept"):
            AtomicCheckpointIO().save_checkpoint({"content": torch.zeros(100_000)}, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.slow
def test_a_run_on_a_disk_that_fills_up(
    tiny: Overrides, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, status 1, and no checkpoint that could not be read."""
    monkeypatch.setattr(Algorithm, "update", unrecorded)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        assert train(*tiny(tmp_path / "run", "eval_every=40", "logger=csv")) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "free some disk space" in one_sentence(capsys.readouterr().err)
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


# Divergence


def test_a_loss_that_is_not_finite_stops_the_run_and_is_named(
    tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Algorithm.training_step

    def poisoned(algorithm: Algorithm, batch: Any, index: int) -> None:
        if algorithm.trainer.global_step == 24:
            with torch.no_grad():
                next(algorithm.networks["f_beta"].parameters())[0].fill_(float("nan"))
        step(algorithm, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Algorithm, "training_step", poisoned)
        with pytest.raises(DivergedError) as error:
            tiny_fit(tmp_path / "run", "updates_per_step=1", "seeds=[7,8]")
    message = str(error.value)
    assert "diverged: infinite or NaN gradient of seed=7 at update 25;" in message and "seed=8" not in message
    assert f"last good checkpoint: {tmp_path}/run/checkpoints/last.ckpt (update 20)" in message
    content = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert content["qam_torch"]["update"] == 20
    assert all(value.isfinite().all() for value in content["state_dict"].values())
    assert not (tmp_path / "run" / "summary.json").exists()


@pytest.mark.slow
def test_parameters_that_are_not_finite_are_never_saved(
    tiny_fit: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Algorithm.training_step

    def poisoned(algorithm: Algorithm, batch: Any, index: int) -> None:
        step(algorithm, batch, index)
        if algorithm.trainer.global_step == 30:
            with torch.no_grad():
                next(algorithm.networks["critic"].parameters()).fill_(float("inf"))

    monkeypatch.setattr(Algorithm, "training_step", poisoned)
    with pytest.raises(DivergedError, match=r"at update 30: parameter networks\.critic.*last.ckpt \(update 20\)"):
        tiny_fit(tmp_path / "run")
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["qam_torch"]["update"] == 20


@pytest.mark.slow
def test_a_learning_rate_that_is_far_too_large(
    tiny: Overrides, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*tiny(tmp_path / "run", "algo.lr=1e30")) == 1
    message = one_sentence(capsys.readouterr().err)
    assert (
        "training diverged: infinite or NaN gradient of seed=0 at update 2; lower algo.lr or algo.inv_temp" in message
    )
    assert "last good checkpoint: none was saved yet" in message
