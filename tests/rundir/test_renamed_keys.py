"""Keys of earlier versions: runs that have them are read, and each has a present name that exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from qam_torch.config.composition import compose
from qam_torch.report.settings import cell_of
from qam_torch.rundir.paths import RunPaths
from qam_torch.rundir.renamed_keys import RENAMED_KEYS, RENAMED_VALUES, with_current_keys
from qam_torch.training.finished_run import finished_run
from qam_torch.types import QamError
from tests.helpers.runs import Fit

CURRENT: dict[str, Any] = {
    "offline_steps": 10, "checkpoint_every": 5, "replay_mode": "append", "resume": False, "precision": "float32",
    "data": {"fraction": 0.5, "shard_every": 7, "normalize": "none"}, "trainer": {"devices": 1},
}  # fmt: skip
FORMER: dict[str, Any] = {
    "updates": 10, "save_every": 5, "buffer": "append", "resume": "never", "precision": "full", "dtype": "float32",
    "data": {"proportion": 0.5, "swap_every": 7}, "trainer": {"devices": 1, "precision": "32-true"},
}  # fmt: skip


def test_every_present_name_exists_and_no_old_one_does() -> None:
    config = compose(["env=cube-single-play"])
    for old, new in RENAMED_KEYS.items():
        assert OmegaConf.select(config, new, default="missing") != "missing", new
        assert OmegaConf.select(config, old, default="missing") == "missing", old
    for key, _ in RENAMED_VALUES:
        assert key == "experiment" or key in config


def test_a_configuration_of_an_earlier_version_is_translated() -> None:
    before = {**FORMER, "data": dict(FORMER["data"])}
    assert with_current_keys(FORMER) == CURRENT
    assert with_current_keys({"experiment_name": "train"}) == {"experiment_name": "default"}
    assert before == FORMER  # not changed in place
    assert with_current_keys(CURRENT) == CURRENT
    assert with_current_keys({"dtype": "float64", "precision": "full"}) == {"precision": "float64"}
    assert with_current_keys({"dtype": "float32", "precision": "bf16-mixed"}) == {"precision": "bf16-mixed"}


def test_runs_of_both_versions_are_one_cell_of_a_report() -> None:
    about = {"algo_name": "qam", "env_name": "cube-single-play", "task": 1, "env": {"dataset": "cube-single-play-v0"}}
    assert cell_of({**about, **FORMER}, {}) == cell_of({**about, **CURRENT}, {})


def test_a_finished_run_of_an_earlier_version_is_recognized(tiny_fit: Fit, tmp_path: Path) -> None:
    run = tiny_fit(tmp_path / "run", "offline_steps=10", "logger=csv")
    path = run.directory / "config.yaml"
    former = OmegaConf.load(path)
    former.save_every, former.buffer, former.dtype = (
        former.pop("checkpoint_every"),
        former.pop("replay_mode"),
        "float32",
    )
    former.data.proportion, former.data.swap_every = former.data.pop("fraction"), former.data.pop("shard_every")
    former.precision, former.trainer.precision = "full", "32-true"
    del former.data.normalize, former.execute_steps, former.algo.solver, former.algo.discretization
    OmegaConf.save(former, path)
    assert tiny_fit(tmp_path / "run", "offline_steps=10", "logger=csv", "resume=auto").algorithm is None
    with pytest.raises(QamError, match="has data.fraction=1.0 but this run data.fraction=0.5"):
        tiny_fit(tmp_path / "run", "offline_steps=10", "logger=csv", "resume=auto", "data.fraction=0.5")


@pytest.mark.parametrize("own", [{"flow_steps": 5}, {"clip_adj": True}, {"flow_steps": 5, "solver": "rk4"}])
def test_a_finished_run_of_a_custom_method_with_a_key_of_that_name_is_recognized(
    own: dict[str, Any], tmp_path: Path
) -> None:
    steps = {"offline_steps": 10, "online_steps": 0, "init_from": None}
    config = {"algo": own, **steps, "resume": "auto", "skip_completed": False}
    OmegaConf.save(config, tmp_path / "config.yaml")
    (tmp_path / "summary.json").write_text('{"updates": 10}')
    assert finished_run(RunPaths(tmp_path), config) == {"updates": 10}
    other = {**config, "algo": {**own, "flow_steps": 6}}
    with pytest.raises(QamError, match=r"this run algo\.flow_steps=6"):
        finished_run(RunPaths(tmp_path), other)


def test_a_key_of_an_earlier_version_in_a_custom_config_is_refused(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nsave_every: 10\n")
    with pytest.raises(QamError, match="unknown key 'save_every': it is now checkpoint_every"):
        compose(["experiment=mine"], tmp_path)
