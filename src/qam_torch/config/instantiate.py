"""Import and create what a configuration names: loggers and callbacks by `_target_`, metrics and plots by path."""

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
"""Config groups whose entries have a `_target_`."""

FUNCTIONS = ("evaluation_metrics", "plots")
"""Config keys whose values are lists of import paths of functions."""


def check_extensions(config: DictConfig) -> None:
    """Import all classes and functions that the configuration names, without creating objects.

    Args:
        config: config of a run.

    Raises:
        QamError: a class or function cannot be imported, or an entry is neither false nor null nor keys with a
            `_target_`.
    """
    for group in INSTANCES:
        for name, entry in _entries(config, group):
            _imported(str(entry["_target_"]), f"{group}.{name}._target_")
    for key in FUNCTIONS:
        functions(config.get(key), key)


def instances(config: DictConfig, group: str) -> list[Any]:
    """Create the objects of a group, in the order in which the configuration lists them.

    Args:
        config: config of a run.
        group: "logger" or "callbacks". `logger.csv` and entries that are false or null are skipped.

    Raises:
        QamError: an entry is invalid, a class cannot be imported, or its constructor raises an error.
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
    """Import the functions that a config key or a command-line option lists.

    Args:
        paths: import paths of functions, e.g. ["my_module.my_function"]. None is an empty list.
        key: name of the key or option as the user types it, e.g. "plots".

    Raises:
        QamError: the value is not a list of paths, a path cannot be imported, or it does not name a function.
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
