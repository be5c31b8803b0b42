"""Resolvers for ${NAME:...} in configs. Importing this module registers them with OmegaConf."""

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
"""Largest number of bytes in a directory's name. Most file systems allow 255."""


def _seed_name(seed: int, seeds: Sequence[int] | None) -> str:
    """Return the directory name of a run: seed1, or seeds1-2-3 for a population."""
    if seeds is None:
        return f"seed{seed}"
    return "seeds" + ("-".join(map(str, seeds)) if OmegaConf.is_list(seeds) else str(seeds))


def _environment_name(name: str, task: int | None) -> str:
    """Return the directory name of an environment's runs, e.g. cube-triple-play-task2."""
    return _directory_name(name if task is None else f"{name}-task{task}")


def _directory_name(text: str) -> str:
    """Convert any text to a directory name without slashes and quotes.

    A name that is too long is replaced by its start and a hash of the whole text.
    """
    name = text.replace("++population", "population").replace("/", "_").replace("'", "")
    if len(name.encode()) <= LONGEST_NAME:
        return name
    start = name.encode()[:LONGEST_NAME].decode(errors="ignore")
    return f"{start}...{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _overrides_name(words: Sequence[str], excluded: Sequence[str]) -> str:
    """Return a directory name that contains the overrides of a run, sorted.

    Values are parsed first, because Hydra rewrites the values of a sweep. Thus x=1e-3 and x=0.001 give the same name.

    Args:
        words: overrides of the run.
        excluded: keys to leave out, because another directory name contains them or they do not change results.
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
    """Return the entry of `values` for the chosen environment. An environment's 100m dataset uses the same entry.

    If there is no entry, return `others`. If `others` is None, raise QamError.
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
    """Return the number of runs that this machine runs in parallel: one per GPU, or one per CPU core without GPUs."""
    return len(visible_gpus()) or cpu_cores()


def _group_options(group: str, *, _root_: DictConfig) -> str:
    """Return the option names of a config group for --help, including those in the directory of --config-dir."""
    added = [one.path for one in _root_.hydra.runtime.config_sources if one.provider == "command-line"]
    return ", ".join(options_of(group, with_config_directory([], added[0] if added else None)))


def _joined_path(*parts: str) -> str:
    """Join the nonempty directory names to one path."""
    return "/".join(part for part in parts if part)


OmegaConf.register_new_resolver("config_directory", lambda: str(config_directory()), replace=True)
OmegaConf.register_new_resolver("group_options", _group_options, replace=True)
OmegaConf.register_new_resolver("joined_path", _joined_path, replace=True)
OmegaConf.register_new_resolver("per_domain", _per_domain, replace=True)
OmegaConf.register_new_resolver("runs_at_once", _runs_at_once, replace=True)
OmegaConf.register_new_resolver("seed_name", _seed_name, replace=True)
OmegaConf.register_new_resolver("environment_name", _environment_name, replace=True)
OmegaConf.register_new_resolver("overrides_name", _overrides_name, replace=True)
