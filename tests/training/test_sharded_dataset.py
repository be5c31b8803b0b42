"""Runs on a directory of files that take turns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from qam_torch.data.generation.generate import generate
from qam_torch.rundir.checkpoints import read_checkpoint
from qam_torch.types import QamError
from tests.helpers.runs import Fit, one_sentence


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pointmaze-shards")
    for number in range(3):
        generate("pointmaze-medium-navigate-v0", directory / f"part-{number}.npz", 300, seed=number, workers=1)
    (directory / "._part-0.npz").write_bytes(b"as macOS leaves beside a file; hidden files are ignored")
    return directory


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(run / "checkpoints" / "last.ckpt")["state_dict"]


@pytest.mark.slow
def test_a_run_takes_all_files_in_turn_and_continues_alike(shards: Path, tiny_fit: Fit, tmp_path: Path) -> None:
    words = [f"data.path={shards}", "data.shard_every=6", "compare_behavior=false"]
    whole = tiny_fit(tmp_path / "whole", *words)
    assert whole.summary["data"]["files"] == 3 and whole.summary["data"]["path"] == str(shards)
    tiny_fit(tmp_path / "part", *words, "offline_steps=20")
    tiny_fit(tmp_path / "part", *words, "resume=auto")
    kept = weights(tmp_path / "whole")
    assert all(torch.equal(tensor, kept[name]) for name, tensor in weights(tmp_path / "part").items())
    tiny_fit(tmp_path / "slower", *words[:1], "data.shard_every=13")
    assert any(not torch.equal(tensor, kept[name]) for name, tensor in weights(tmp_path / "slower").items())


@pytest.mark.slow
def test_proportion_takes_the_first_files(shards: Path, tiny_fit: Fit, tmp_path: Path) -> None:
    tiny_fit(tmp_path / "run", f"data.path={shards}", "data.shard_every=6", "data.fraction=0.7")
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["data"]["files"] == 2


@pytest.mark.slow
def test_a_directory_without_files(
    tiny: Callable[..., list[str]], train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert train(*tiny(tmp_path / "run", f"data.path={tmp_path}/empty")) == 1
    assert "has no .npz files to train on" in one_sentence(capsys.readouterr().err)


def test_a_damaged_file_among_good_ones_is_named_before_training(
    shards: Path, tiny: Callable[..., list[str]], train: Callable[..., int], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    directory = tmp_path / "data"
    directory.mkdir()
    for number in range(2):
        content = (shards / f"part-{number}.npz").read_bytes()
        (directory / f"part-{number}.npz").write_bytes(content if number == 0 else content[: len(content) // 2])
    words = [f"data.path={directory}", "data.shard_every=6", "updates_per_step=1", "algo.flow_steps=2"]
    assert train(*tiny(tmp_path / "run", *words)) == 1
    assert f"data file {directory}/part-1.npz is truncated" in one_sentence(capsys.readouterr().err)
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.slow
def test_a_file_of_ones_own_may_change_between_runs(shards: Path, tiny_fit: Fit, tmp_path: Path) -> None:
    """And nothing is written beside it."""
    mine = tmp_path / "data" / "mine.npz"
    mine.parent.mkdir()
    hashes = []
    for number in range(2):
        mine.write_bytes((shards / f"part-{number}.npz").read_bytes())
        run = tiny_fit(tmp_path / f"run{number}", f"data.path={mine}", "offline_steps=10")
        hashes.append(run.summary["data"]["sha256"])
    assert hashes[0] != hashes[1]
    assert list(mine.parent.iterdir()) == [mine]


@pytest.mark.slow
def test_a_checkpoint_without_the_datas_fingerprint(shards: Path, tiny_fit: Fit, tmp_path: Path) -> None:
    words = [f"data.path={shards}/part-0.npz", "offline_steps=20"]
    tiny_fit(tmp_path / "run", *words, "offline_steps=10")
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = read_checkpoint(path)
    del content["TrainingData"]["data"]
    torch.save(content, path)
    with pytest.raises(QamError, match="checkpoint was written with other data"):
        tiny_fit(tmp_path / "run", *words, "resume=auto")
