"""Values that no run can have, in a configuration that is composed once."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

import qam_torch
from qam_torch.training.settings import read_settings
from qam_torch.types import QamError

REMOVED = "removed"

MISTAKES: list[tuple[str, Any, str]] = [
    ("logger", REMOVED, "~logger removes a key that every run needs: give it a value instead"),
    ("trainer", REMOVED, "~trainer removes a key"),
    ("trainer.devices", REMOVED, "~trainer.devices removes a key"),
    ("algo.horizon_length", REMOVED, "~algo.horizon_length removes a key"),
    ("data.fraction", REMOVED, "~data.fraction removes a key"),
    ("run_dir", None, "run_dir=null is out of range: expected a value, or leave the key out"),
    ("data.fraction", None, "data.fraction=null is out of range"),
    ("logger", None, "logger=None is out of range: expected its keys, e.g. logger.KEY=VALUE"),
    ("trainer.devices", None, "trainer.devices=None is out of range: expected 1, or a list of one GPU's index"),
    ("trainer.devices", 2, "trainer.devices=2 is out of range"),
    ("trainer.devices", True, "trainer.devices=True is out of range"),
    ("trainer.devices", [0, 1], "trainer.devices=[0, 1] is out of range"),
    ("trainer.devices", [-1], "trainer.devices=[-1] is out of range"),
    ("trainer.devices", "auto", "trainer.devices=auto is out of range"),
    ("trainer.accelerator", 5, "trainer.accelerator=5 is out of range: expected auto, cpu or gpu"),
    ("compare_behavior", "no", "compare_behavior=no is out of range: expected true or false"),
    ("algo.seeds", [7, 8], "algo.seeds=[7, 8] is not an option: leave it out, and give 'seeds="),
    ("algo.observation_dim", 3, "algo.observation_dim=3 is not an option: leave it out"),
    ("algo.horizon_length", "abc", "algo.horizon_length=abc is out of range: expected an integer >= 1"),
    ("data.normalize", "minmax", "data.normalize=minmax is out of range: expected none or standard"),
    ("execute_steps", 0, "execute_steps=0 is out of range: expected an integer from 1 to 5, the steps of a chunk"),
    ("execute_steps", 6, "execute_steps=6 is out of range"),
    ("execute_steps", True, "execute_steps=True is out of range"),
    ("task", 1.0, "task=1.0 is out of range: expected OGBench's single tasks 1 to 5"),
]


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    values: Any = OmegaConf.to_container(qam_torch.compose(["online_steps=10000"]))
    return values


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES, ids=[f"{key}-{value}" for key, value, _ in MISTAKES])
def test_a_value_that_no_run_can_have(key: str, value: Any, message: str, composed: dict[str, Any]) -> None:
    values = {name: dict(part) if isinstance(part, dict) else part for name, part in composed.items()}
    group, _, name = key.rpartition(".")
    part = values[group] if group else values
    if value is REMOVED:
        del part[name]
    else:
        part[name] = value
    with pytest.raises(QamError) as caught:
        read_settings(OmegaConf.create(values))
    assert message in str(caught.value)


def test_one_step_is_executed_in_n_step_mode() -> None:
    config = qam_torch.compose(["algo.action_chunking=false", "execute_steps=2"])
    with pytest.raises(QamError, match="execute_steps=2 is out of range: expected an integer from 1 to 1"):
        read_settings(config)


@pytest.mark.parametrize("devices", [1, [0], [3]])
def test_devices_of_a_run(devices: Any, composed: dict[str, Any]) -> None:
    values = {**composed, "trainer": {"accelerator": "gpu", "devices": devices}}
    assert read_settings(OmegaConf.create(values)).devices == devices
