"""Which settings decide a result: one list for directories, sweeps and reports."""

from __future__ import annotations

import pytest
from omegaconf import DictConfig, OmegaConf

from qam_torch.config.composition import compose, config_directory
from qam_torch.rundir.result_keys import COPIED, EXTENT, IDENTITY, NEUTRAL, changes_result, is_in

IN_THE_NAME = {"algo", "env", "experiment", "task", "dataset", "env_id", "seed", "seeds"}
"""Overrides that a run directory's path names elsewhere than among its other overrides."""

NEVER_IN_THE_NAME = {"run_dir", "hydra"}
"""Neutral keys that need no entry: one replaces the whole path, the other is not part of the configuration."""


def excluded() -> set[str]:
    hydra = OmegaConf.load(config_directory() / "train.yaml").hydra
    return set(hydra.job.config.override_dirname.exclude_keys)


def keys(config: DictConfig, prefix: str = "") -> set[str]:
    found = set()
    for name in map(str, config):
        found |= {f"{prefix}{name}"} | (
            keys(config[name], f"{prefix}{name}.") if OmegaConf.is_dict(config[name]) else set()
        )
    return found


def test_the_directory_leaves_out_what_is_neutral_and_nothing_else() -> None:
    assert {key for key in excluded() if not is_in(NEUTRAL, key)} == IN_THE_NAME
    neutral = {key for key in keys(compose()) if is_in(NEUTRAL, key)} - NEVER_IN_THE_NAME
    assert neutral <= excluded()


@pytest.mark.parametrize("group", [NEUTRAL, IDENTITY, EXTENT, COPIED])
def test_every_key_of_a_group_exists(group: tuple[str, ...]) -> None:
    assert set(group) - keys(compose(["env=cube-single-play"])) <= {"hydra", "updates"}  # of Hydra; of version 0.1


def test_a_key_stands_for_all_below_it_and_for_no_longer_name() -> None:
    assert is_in(("trainer",), "trainer.devices") and not is_in(("trainer",), "trainers")
    assert changes_result("algo.inv_temp") and not changes_result("data.mirrors") and changes_result("data.path")
