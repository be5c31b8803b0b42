"""Objects that a configuration names: loggers and callbacks by `_target_`, metrics and plots by their paths."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import hydra.utils
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from qam_torch.config.overrides import first_line
from qam_torch.types import QamError, require

__all__ = ["check_extensions", "functions", "instances"]

INSTANCES = ("logger", "callbacks")
"""Groups whose entries have a `_target_`."""

FUNCTIONS = ("evaluation_metrics", "plots")
"""Keys that are lists of paths of functions."""


def check_extensions(config: DictConfig) -> None:
    """Import everything that the configuration names, without making any object.

    Args:
        config: config of a run.

    Raises:
        QamError: a class or function cannot be imported, or an entry is neither false nor an object's keys.
    """
    for group in INSTANCES:
        for name, entry in _entries(config, group):
            _imported(str(entry["_target_"]), f"{group}.{name}._target_")
    for key in FUNCTIONS:
        functions(config.get(key), key)


def instances(config: DictConfig, group: str) -> list[Any]:
    """Make the objects of a group, in the order of their names in the configuration.

    Args:
        config: config of a run.
        group: "logger" or "callbacks". `logger.csv` and entries that are false or null are not objects.

    Raises:
        QamError: a class cannot be imported, or its constructor raises.
    """
    made = []
    for name, entry in _entries(config, group):
        _imported(str(entry["_target_"]), f"{group}.{name}._target_")
        try:
            made.append(hydra.utils.instantiate(entry, _convert_="all"))
        except InstantiationException as error:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            raise QamError(
                f"{group}.{name} cannot be made ({type(cause).__name__}: {first_line(cause)}): check its keys"
            ) from error
    return made


def functions(paths: Sequence[str] | None, key: str) -> list[Callable[..., Any]]:
    """Import the functions that a key or an option lists.

    Args:
        paths: such as ["my_module.my_function"].
        key: as the user types it, e.g. "plots".

    Raises:
        QamError: the value is not a list of paths, or a path does not lead to a function.
    """
    paths = [] if paths is None else paths
    listed = isinstance(paths, Sequence) and not isinstance(paths, str) and all(isinstance(path, str) for path in paths)
    require(key, listed, paths, "a list of functions such as [my_module.my_function]")
    found = [_imported(path, f"{key}={path}") for path in paths]
    for path, function in zip(paths, found, strict=True):
        require(key, callable(function), path, "functions")
    return found


def _entries(config: DictConfig, group: str) -> Iterator[tuple[str, DictConfig]]:
    for name, entry in (config.get(group) or {}).items():
        key = f"{group}.{name}"
        if key == "logger.csv" or entry is None or entry is False:
            continue
        require(key, OmegaConf.is_dict(entry), entry, f"keys with a _target_, or false; {group}=NAME chooses a config")
        if "_target_" not in entry:
            raise QamError(f"{key} has no _target_: give the class, e.g. _target_: my_module.MyClass")
        yield str(name), entry


def _imported(path: str, described_as: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # importing a module can raise anything
        raise QamError(
            f"{described_as} cannot be found ({type(error).__name__}: {first_line(error)}): run the command in the "
            "directory of its module, or install its package"
        ) from error
