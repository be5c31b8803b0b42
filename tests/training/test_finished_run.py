"""Which finished runs count as the one that is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

import qam_torch
from qam_torch.rundir.paths import RunPaths
from qam_torch.training.finished_run import finished_run
from qam_torch.types import QamError


def config_of(*words: str) -> DictConfig:
    return qam_torch.compose(["resume=auto", "seed=1", *words])


@pytest.fixture
def earlier(tmp_path: Path) -> RunPaths:
    """A finished run of a version without callbacks, custom metrics and plots."""
    paths = RunPaths(tmp_path)
    before = OmegaConf.to_container(config_of(), resolve=True)
    assert isinstance(before, dict)
    for name in ("callbacks", "evaluation_metrics", "plots"):
        del before[name]
    before["logger"] = {"tensorboard": True, "csv": True, "wandb": False, "wandb_project": "qam_torch"}
    paths.config.write_text(OmegaConf.to_yaml(before))
    paths.summary.write_text(json.dumps({"updates": 10_000_000, "offline_steps": 10_000_000, "online_steps": 0}))
    return paths


@pytest.mark.parametrize("words", [[], ["logger=none"], ["plots=[my.plot]"], ["evaluation_metrics=[my.metric]"]])
def test_what_changes_no_result_may_differ(earlier: RunPaths, words: list[str]) -> None:
    assert finished_run(earlier, config_of(*words)) is not None


def test_callbacks_may_change_the_result(earlier: RunPaths) -> None:
    config = config_of()
    config.callbacks = {"watch": {"_target_": "my.Watch"}}
    with pytest.raises(QamError, match="callbacks.watch._target_=None but this run callbacks.watch._target_=my.W"):
        finished_run(earlier, config)
