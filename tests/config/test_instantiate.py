"""What loggers, callbacks, metrics and plots of a configuration may be."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from qam_torch.config.instantiate import check_extensions, functions, instances
from qam_torch.types import QamError


@pytest.mark.parametrize("value", [5, True, False, "my.plot", [5], {"a": 1}])
def test_functions_are_a_list_of_paths(value: Any) -> None:
    with pytest.raises(QamError, match=r"plots=.* is out of range: expected a list of functions such as"):
        functions(value, "plots")


def test_no_functions() -> None:
    assert functions(None, "plots") == functions([], "plots") == functions(OmegaConf.create([]), "plots") == []


@pytest.mark.parametrize("value", [True, "abc", 5, [1]])
@pytest.mark.parametrize("key", ["logger.tensorboard", "callbacks.csv"])
def test_an_entry_that_is_not_an_object_is_refused(key: str, value: Any) -> None:
    group, _, name = key.partition(".")
    with pytest.raises(QamError, match=rf"{key}=.* is out of range: expected keys with a _target_, or false; {group}="):
        check_extensions(OmegaConf.create({group: {name: value}}))


def test_entries_that_are_switched_off_are_no_objects() -> None:
    config = OmegaConf.create({"logger": {"csv": True, "tensorboard": False, "wandb": None}})
    check_extensions(config)
    assert instances(config, "logger") == []
