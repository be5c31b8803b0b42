"""Resolvers of the configs: ${NAME:...}. Importing this module registers them with OmegaConf."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from omegaconf import DictConfig, Node, OmegaConf

from qam_torch.config.groups import config_directory, options_of, with_config_directory
from qam_torch.config.overrides import parsed
from qam_torch.system.machine import cpu_cores, visible_gpus
from qam_torch.types import QamError

__all__: list[str] = []

LONGEST_NAME = 180
"""Bytes of a directory's name; most file systems take 255."""


def _seed_name(seed: int, seeds: Sequence[int] | None) -> str:
    """Directory of a run: seed1, or seeds1-2-3 of a population."""
    if seeds is None:
        return f"seed{seed}"
    return "seeds" + ("-".join(map(str, seeds)) if OmegaConf.is_list(seeds) else str(seeds))


def _environment_name(name: str, task: int | None) -> str:
    """Directory of an environment's runs: cube-triple-play-task2, or minari-mujoco_hopper_medium-v0."""
    return _directory_name(name if task is None else f"{name}-task{task}")


def _directory_name(text: str) -> str:
    """One directory's name for any text: no slashes or quotes, and if it is too long its start and a hash of it all."""
    name = text.replace("++population", "population").replace("/", "_").replace("'", "")
    if len(name.encode()) <= LONGEST_NAME:
        return name
    start = name.encode()[:LONGEST_NAME].decode(errors="ignore")
    return f"{start}...{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _overrides_name(words: Sequence[str], excluded: Sequence[str]) -> str:
    """Directory of a run's overrides, in the order of their keys, except for what others name or changes no result.

    By what they mean and not as they were written, because Hydra writes a sweep's again: x=1e-3 is x=0.001.
    """
    named = {}
    for override in map(parsed, words):
        if override.key_or_group not in excluded:
            key, value = override.get_key_element(), override.value()
            written = str(value).lower() if isinstance(value, bool) else value
            if not isinstance(written, str):
                written = override.get_value_element_as_str()
            named[key] = key if override.is_delete() else f"{key}={written}"
    return _directory_name(",".join(sorted(named.values())))


def _per_domain(values: DictConfig, others: float | None = None, *, _root_: DictConfig, _node_: Node) -> float:
    """The number among `values` that is for the environment chosen; its dataset of 100 million counts as the same.

    Where there is none it is the number for `others`, if one is given.
    """
    domain = _root_.env_name.removesuffix("-100m")
    if domain not in values:
        if others is not None:
            return others
        key, example = _node_._get_full_key(None), next(iter(values.values()))
        raise QamError(
            f"no {key} was published for env={_root_.env_name}: give one, e.g. {key}={example}, or take one of "
            f"{', '.join(values)}"
        )
    return values[domain]


def _runs_at_once() -> int:
    """Runs that one machine works on at a time: one a GPU, or without GPUs one a CPU core."""
    return len(visible_gpus()) or cpu_cores()


def _group_options(group: str, *, _root_: DictConfig) -> str:
    """The names that a group takes, for the text of --help; also those in a directory of --config-dir."""
    added = [one.path for one in _root_.hydra.runtime.config_sources if one.provider == "command-line"]
    return ", ".join(options_of(group, with_config_directory([], added[0] if added else None)))


def _joined_path(*parts: str) -> str:
    """Directories below each other, without the empty ones."""
    return "/".join(part for part in parts if part)


OmegaConf.register_new_resolver("config_directory", lambda: str(config_directory()), replace=True)
OmegaConf.register_new_resolver("group_options", _group_options, replace=True)
OmegaConf.register_new_resolver("joined_path", _joined_path, replace=True)
OmegaConf.register_new_resolver("per_domain", _per_domain, replace=True)
OmegaConf.register_new_resolver("runs_at_once", _runs_at_once, replace=True)
OmegaConf.register_new_resolver("seed_name", _seed_name, replace=True)
OmegaConf.register_new_resolver("environment_name", _environment_name, replace=True)
OmegaConf.register_new_resolver("overrides_name", _overrides_name, replace=True)
