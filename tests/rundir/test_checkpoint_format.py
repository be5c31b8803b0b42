"""Checkpoints of every format number are read by this version, and others are refused in one sentence.

`python -m tests.rundir.test_checkpoint_format` writes the fixture of the present format. It is never written again: a
later version that needs a conversion increases `FORMAT`, and adds a fixture.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import qam_torch
from qam_torch.rundir.checkpoints import FORMAT, SECTION, read_checkpoint
from qam_torch.types import QamError
from tests.helpers.runs import Fit, tiny_of

FOLDER = Path(__file__).with_name("checkpoints")
SETTINGS = ("seeds=[1,2]", "population.inv_temp=[0.3,3]", "offline_steps=20", "precision=float64")
OBSERVATIONS = np.linspace(-1.0, 1.0, 10).reshape(5, 2)
FORMATS = [int(path.stem.removeprefix("format")) for path in sorted(FOLDER.glob("format*.bin"))]


def actions(path: Path) -> dict[str, list[Any]]:
    """Actions of each member for OBSERVATIONS."""
    seeds, values = (1, 2), (0.3, 3)
    loaded = {(s, v): qam_torch.load_policy(path, seed=s, inv_temp=v) for v in values for s in seeds}
    return {f"seed={s},inv_temp={v}": policy(OBSERVATIONS).tolist() for (s, v), policy in loaded.items()}


def test_there_is_a_fixture_of_every_format() -> None:
    assert list(range(1, FORMAT + 1)) == FORMATS


@pytest.mark.parametrize("number", FORMATS)
def test_an_earlier_checkpoint_acts_as_it_did(number: int) -> None:
    path = FOLDER / f"format{number}.bin"
    assert read_checkpoint(path)[SECTION]["format"] == number
    for member, expected in json.loads(path.with_suffix(".json").read_text()).items():
        assert np.allclose(actions(path)[member], expected, rtol=0, atol=1e-9), member


@pytest.mark.parametrize("number", FORMATS)
def test_an_earlier_checkpoint_starts_an_online_phase(number: int, tiny_fit: Fit, tmp_path: Path) -> None:
    start = f"init_from={FOLDER / f'format{number}.bin'}"
    sizes = ("algo.actor_hidden_dims=[8,8]", "algo.value_hidden_dims=[8,8]", "precision=float64")
    online = ("online_steps=4", "start_training=2")
    result = tiny_fit(tmp_path / "run", *SETTINGS[:2], *sizes, start, *online)
    assert result.summary["offline_steps"] == 20 and result.summary["updates"] == 23


@pytest.mark.slow
def test_a_run_of_before_an_argument_was_added_continues(tiny_fit: Fit, tmp_path: Path) -> None:
    words = ("logger=csv", "algo.flow_steps=4")
    tiny_fit(tmp_path / "run", *words, "offline_steps=20")
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path, weights_only=True)
    for name in ("solver", "discretization"):
        del checkpoint[SECTION]["arguments"][name]
    torch.save(checkpoint, path)
    (tmp_path / "run" / "summary.json").unlink()
    words = (*words, "offline_steps=30", "resume=auto")
    with pytest.raises(QamError, match=r"has solver=euler but this run solver=midpoint"):
        tiny_fit(tmp_path / "run", *words, "algo.solver=midpoint")
    continued = tiny_fit(tmp_path / "run", *words)
    assert continued.resumed and continued.summary["offline_steps"] == 30


def test_others_are_refused_in_one_sentence(tmp_path: Path) -> None:
    def changed(change: Callable[[dict[str, Any]], Any]) -> Path:
        content = torch.load(FOLDER / f"format{FORMAT}.bin", weights_only=True)
        change(content)
        torch.save(content, tmp_path / "changed.ckpt")
        return tmp_path / "changed.ckpt"

    with pytest.raises(QamError, match="was written by an earlier qam_torch .* without a format number"):
        read_checkpoint(changed(lambda c: c[SECTION].pop("format")))
    with pytest.raises(
        QamError, match=rf"has checkpoint format {FORMAT + 1}, .* reads formats up to {FORMAT}: install"
    ):
        read_checkpoint(changed(lambda c: c[SECTION].update(format=FORMAT + 1)))
    with pytest.raises(QamError, match="is not a checkpoint of qam_torch: give a .ckpt file of a run"):
        read_checkpoint(changed(lambda c: c.pop(SECTION)))


def _write_fixture() -> None:
    target = FOLDER / f"format{FORMAT}.bin"
    if target.exists():
        sys.exit(f"{target} exists and is never written again")
    with tempfile.TemporaryDirectory() as directory:
        words = [*tiny_of("qam"), f"data.directory={directory}", f"run_dir={directory}/run", *SETTINGS]
        qam_torch.fit(qam_torch.compose([*words, "algo.actor_hidden_dims=[8,8]", "algo.value_hidden_dims=[8,8]"]))
        FOLDER.mkdir(exist_ok=True)
        shutil.copy(Path(directory) / "run" / "checkpoints" / "last.ckpt", target)
    target.with_suffix(".json").write_text(json.dumps(actions(target), indent=1) + "\n")


if __name__ == "__main__":
    _write_fixture()
