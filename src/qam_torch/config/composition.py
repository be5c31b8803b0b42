"""Compose and check the configuration of a run."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from qam_torch.config import resolvers  # noqa: F401 (registers them)
from qam_torch.config.groups import (
    GROUPS,
    SEARCH_PATH,
    check_groups,
    config_directory,
    options_with,
    with_config_directory,
)
from qam_torch.config.literals import with_literals
from qam_torch.config.overrides import (
    as_given,
    first_line,
    jobs,
    parsed,
    with_free_keys,
)
from qam_torch.rundir.renamed_keys import RENAMED_KEYS, RENAMED_VALUES
from qam_torch.types import PRECISIONS, QamError

__all__ = ["compose", "compose_for_hydra", "config_directory"]

LATE = ("logger", "callbacks")
"""Groups whose interpolations are resolved only when their objects are instantiated."""


def compose(overrides: Sequence[str] = (), config_dir: str | os.PathLike[str] | None = None) -> DictConfig:
    """Compose the configuration that `qam-train` with these overrides would run.

    Args:
        overrides: in Hydra's grammar, e.g. ["algo=qam_e", "env=cube-triple-play", "task=2", "algo.inv_temp=3"].
        config_dir: directory with custom configs, e.g. algo/mine.yaml; `--config-dir` of the command.

    Returns:
        The resolved configuration, without the section `hydra`.

    Raises:
        QamError: a name, key or value is invalid. For unknown names and keys the message suggests the nearest ones.
    """
    words = with_free_keys(with_literals(overrides))
    words = with_config_directory(words, config_dir)
    runs = jobs(words)
    if len(runs) != 1:
        several = next(word for word in words if parsed(word).is_sweep_override())
        raise QamError(
            f"'{as_given(several)}' gives several values: add -m for one run of each, write a list as "
            "'key=[1,2]', or quote the value"
        )
    _check_renamed(words)
    check_groups(words)
    try:
        config = _composed(words)
        _check_appended(words, config)
        for key in RENAMED_KEYS:  # set in a custom config file
            if (value := OmegaConf.select(config, key)) is not None:
                raise _renamed_key(key, value)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise error if isinstance(error, QamError) else _readable_error(error, words) from None
    return config


def compose_for_hydra(words: Sequence[str]) -> DictConfig:
    """Compose the configuration with the section `hydra`, which has launcher and sweeper. `words` are not checked."""
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return hydra_compose("train", overrides=list(words), return_hydra_config=True)


def _composed(words: Sequence[str]) -> DictConfig:
    try:
        config = compose_for_hydra(words)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        # Loggers and callbacks refer to keys such as run_dir, which Python code may set after composing.
        late = {group: config[group].copy() for group in LATE if OmegaConf.is_dict(config.get(group))}
        OmegaConf.resolve(config)
        for group, unresolved in late.items():
            config[group] = unresolved
    finally:
        HydraConfig.instance().cfg = None
    return config


def _check_renamed(words: Sequence[str]) -> None:
    """Raise QamError for a key or value of an earlier version. The message gives the present one."""
    for word in words:
        key, _, value = word.lstrip("+~").partition("=")
        if key in RENAMED_KEYS:
            raise _renamed_key(key, value)
        if (key, value) in RENAMED_VALUES:
            raise QamError(f"unknown value {key}={value}: write {key}={RENAMED_VALUES[key, value]}")


def _renamed_key(key: str, value: Any) -> QamError:
    """The error for a key of an earlier version. Its message gives the key to write instead."""
    new = RENAMED_KEYS[key]
    if new == "precision" and value not in PRECISIONS:
        value = "float32"
    return QamError(f"unknown key '{key}': it is now {new}, write {new}={'...' if value == '' else value}")


def _check_appended(words: Sequence[str], config: DictConfig) -> None:
    """Reject `+key=value`, because no code would read the key. Algorithms check their arguments themselves."""
    for word in words:
        key = word.lstrip("+").partition("=")[0]
        appends = word.startswith("+") and not key.startswith(("algo.", "hydra.", "population")) and key not in GROUPS
        if appends and key not in (known := _keys(_composed([word for word in words if not word.startswith("+")]))):
            raise _unknown_key(key, known)


def _readable_error(error: Exception, words: Sequence[str]) -> QamError:
    """Turn Hydra's error into one sentence. For an unknown key it suggests the nearest keys."""
    raised = re.match(r"QamError raised while resolving interpolation: (.*)", str(error))
    if raised is not None:  # raised by a resolver of this package; OmegaConf keeps only the message
        return QamError(raised[1])
    match = re.match(r"Could not override '(.+)'\.", str(error))
    if match is None:
        return QamError(f"cannot compose the configuration ({as_given(first_line(error))}): see `qam-train --help`")
    groups = [word for word in words if word.partition("=")[0] in (*GROUPS, SEARCH_PATH)]
    try:
        config = compose_for_hydra(groups)
    except HydraException:  # a nested group, such as algo/discretization, of an option that is not selected
        config = compose_for_hydra([word for word in groups if "/" not in word.partition("=")[0]])
    key = match[1]
    if key in GROUPS and "/" in key:
        outer, _, inner = key.partition("/")
        chosen, having = config.hydra.runtime.choices[outer], " or ".join(options_with(outer, inner, words))
        return QamError(f"{outer}={chosen} has no {key}: leave it out, or use {outer}={having}")
    inside = re.search(rf"full_key: ({re.escape(key)}\.\S+)", str(error.__cause__))  # for overrides such as data={x:1}
    known = OmegaConf.to_container(config, resolve=False)  # a value may depend on one that is still missing
    assert isinstance(known, dict)
    return _unknown_key(inside[1] if inside else key, _keys({name: known[name] for name in known if name != "hydra"}))


def _unknown_key(key: str, known: Sequence[str]) -> QamError:
    leaves: dict[str, list[str]] = {}
    for name in known:
        leaves.setdefault(name.rpartition(".")[2], []).append(name)
    leaf = key.rpartition(".")[2]
    close = [leaf] if leaf in leaves else difflib.get_close_matches(leaf, leaves, n=2, cutoff=0.6)
    near = [name for leaf in close for name in leaves[leaf]]
    hint = f"did you mean {' or '.join(near[:3])}?" if near else "`qam-train --help` shows all keys"
    return QamError(f"unknown key '{key}': {hint}")


def _keys(config: DictConfig | dict[Any, Any], prefix: str = "") -> list[str]:
    """Dotted names of all values and groups."""
    names = []
    for name in map(str, config):
        names.append(f"{prefix}{name}")
        if isinstance(config[name], (DictConfig, dict)):
            names += _keys(config[name], f"{prefix}{name}.")
    return names
