"""Which finished runs count as the one that is asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf, open_dict

import qam_torch
from qam_torch.rundir.paths import RunPaths
from qam_torch.training.finished_run import finished_run
from qam_torch.types import QamError


def values_of(*words: str) -> dict[str, Any]:
    values = OmegaConf.to_container(qam_torch.compose(["resume=auto", "seed=1", *words]), resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@pytest.fixture
def earlier(tmp_path: Path) -> RunPaths:
    """A finished run of a version without callbacks, custom metrics and plots."""
    paths = RunPaths(tmp_path)
    before = values_of()
    for name in ("callbacks", "evaluation_metrics", "plots"):
        del before[name]
    before["logger"] = {"tensorboard": True, "csv": True, "wandb": False, "wandb_project": "qam_torch"}
    paths.config.write_text(OmegaConf.to_yaml(before))
    paths.summary.write_text(json.dumps({"updates": 10_000_000, "offline_steps": 10_000_000, "online_steps": 0}))
    return paths


@pytest.mark.parametrize("words", [[], ["logger=none"], ["plots=[my.plot]"], ["evaluation_metrics=[my.metric]"]])
def test_what_changes_no_result_may_differ(earlier: RunPaths, words: list[str]) -> None:
    assert finished_run(earlier, values_of(*words)) is not None


def test_a_run_of_an_earlier_version_is_recognized(tmp_path: Path) -> None:
    """It has no experiment_name, and the environment's own horizon_length was not the method's."""
    paths = RunPaths(tmp_path)
    shutil.copy(Path(__file__).with_name("config_of_an_earlier_version.yaml"), paths.config)
    paths.summary.write_text(json.dumps({"updates": 10**7, "offline_steps": 10**7, "online_steps": 10**7}))
    assert finished_run(paths, values_of("experiment=finetune")) is not None
    with pytest.raises(QamError, match="has algo.horizon_length=5 but this run algo.horizon_length=4"):
        finished_run(paths, values_of("experiment=finetune", "algo.horizon_length=4"))


def test_nothing_is_made_for_a_finished_run(earlier: RunPaths) -> None:
    config = qam_torch.compose(["resume=auto", "seed=1", f"run_dir={earlier.directory}", "logger=none"])
    with open_dict(config):
        config.logger.mine = {"_target_": "builtins.open", "file": str(earlier.directory / "made"), "mode": "w"}
    assert qam_torch.fit(config).algorithm is None
    assert not (earlier.directory / "made").exists()


def test_callbacks_may_change_the_result(earlier: RunPaths) -> None:
    values = {**values_of(), "callbacks": {"watch": {"_target_": "my.Watch"}}}
    with pytest.raises(QamError, match="callbacks.watch._target_=None but this run callbacks.watch._target_=my.W"):
        finished_run(earlier, values)
