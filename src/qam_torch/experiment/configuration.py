"""Composing a run's configuration outside a command line."""

from __future__ import annotations

import difflib
import hashlib
import itertools
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, Node, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from qam_torch.experiment.groups import (
    GROUPS,
    SEARCH_PATH,
    check_groups,
    config_directory,
    options_of,
    with_config_directory,
)
from qam_torch.experiment.machine import cpu_cores, visible_gpus
from qam_torch.types import QamError

__all__ = [
    "compose",
    "config_directory",
    "jobs",
    "searched",
    "with_default_experiment",
    "with_free_keys",
    "with_quoted_paths",
]

NEUTRAL = (
    "resume",
    "skip_completed",
    "on_divergence",
    "trainer",
    "logger",
    "runs_root",
    "run_dir",
    "data.directory",
    "data.download",
    "data.mirrors",
    "eval_environments",
    "eval_workers",
    "online_workers",
    "num_threads",
    "compile",
    "hydra",
)
"""Keys that say where and how a run goes, not what it computes."""

PATHS = ("init_from", "data.path", "data.directory", "path", "run_dir", "runs_root")
"""Keys whose values are paths."""

RENAMED = {"updates": "offline_steps"}
"""Keys of earlier versions -> what they are called now."""

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


def _per_domain(values: DictConfig, *, _root_: DictConfig, _node_: Node) -> float:
    """The number among `values` that is for the environment chosen; its data set of 100 million counts as the same."""
    domain = _root_.env_name.removesuffix("-100m")
    if domain not in values:
        key, example = _node_._get_full_key(None), next(iter(values.values()))
        raise QamError(
            f"no {key} was published for env={_root_.env_name}: give one, e.g. {key}={example}, or take one of "
            f"{', '.join(values)}"
        )
    return values[domain]


def _runs_at_once() -> int:
    """Runs that one machine works on at a time: one a GPU, or without GPUs one a CPU core."""
    return len(visible_gpus()) or cpu_cores()


OmegaConf.register_new_resolver("per_domain", _per_domain, replace=True)
OmegaConf.register_new_resolver("runs_at_once", _runs_at_once, replace=True)
OmegaConf.register_new_resolver("seed_name", _seed_name, replace=True)
OmegaConf.register_new_resolver("environment_name", _environment_name, replace=True)
OmegaConf.register_new_resolver("directory_name", _directory_name, replace=True)


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each run of a multirun, in Hydra's order; one run if no override sweeps.

    Raises QamError for what is not Hydra's grammar.
    """
    choices = []
    for word in overrides:
        override = _parsed(word)
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices.append([word])
        elif override.is_interval_sweep():
            raise QamError(f"'{word}' has no end of values: give some, such as {key}=1,3,10, or hydra/sweeper=qam_optuna")
        elif isinstance(glob := override.value(), Glob):
            choices.append([f"{key}={name}" for name in glob.filter(options_of(override.key_or_group, overrides))])
        else:
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
    return [list(job) for job in itertools.product(*choices)]


def searched(overrides: Sequence[str]) -> list[str]:
    """The overrides of a sweep whose sweeper decides as it goes, with the ends of what it searches as choices.

    If the runs at the ends make sense, so do those in between. What the sweeper's configuration searches is put in front.
    """
    fixed = [word for word in overrides if not _parsed(word).is_sweep_override()]
    sweeper = _composed(fixed, keep_hydra=True).hydra.sweeper
    given = {_parsed(word).get_key_element() for word in overrides}
    own = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items() if key not in given]
    words = []
    for word in [*own, *overrides]:
        override = _parsed(word)
        interval = override.value()
        if isinstance(interval, IntervalSweep):
            word = f"{override.get_key_element()}={interval.start},{interval.end}"
        words.append(word)
    return words


def _parsed(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise QamError(f"cannot read '{word}' ({_first_line(error)}): give key=value, or ~key") from None


def with_quoted_paths(overrides: Sequence[str]) -> list[str]:
    """Paths as they stand, though they contain what Hydra's grammar gives a meaning to, as runs' own directories do."""
    words = []
    for word in overrides:
        key, _, value = word.partition("=")
        plain = not value or value[0] in "'\"[" or "${" in value or re.match(r"\w+\(", value)
        if key.lstrip("+") in PATHS and not plain and re.search(r"[=()\[\]{}:]", value):
            value = "'" + value.replace("'", "\\'") + "'"
        words.append(f"{key}={value}" if "=" in word else word)
    return words


def with_default_experiment(overrides: Sequence[str]) -> list[str]:
    """A command line that overrides nothing, or only where and how the run goes, runs the quickstart."""
    for override in overrides:
        key = re.split(r"[=@]", override.lstrip("+~"))[0]
        if not any(key == neutral or key.startswith(f"{neutral}.") for neutral in NEUTRAL):
            return list(overrides)
    return [*overrides, "experiment=quickstart"]


def with_free_keys(overrides: Sequence[str]) -> list[str]:
    """The overrides of `population`, whose keys are free, as Hydra wants them where a key is new: ++population..."""
    return [f"++{word}" if re.match(r"population[.=]", word) else word for word in overrides]


def compose(overrides: Sequence[str] = (), config_dir: str | os.PathLike[str] | None = None) -> DictConfig:
    """Compose the configuration that `qam-train` with these overrides would run.

    overrides   Hydra's grammar, e.g. ["algo=qam_e", "env=cube-triple-play", "task=2", "algo.inv_temp=3"]
    config_dir  a directory with configs of your own, e.g. algo/mine.yaml; `--config-dir` of the command
    ->          the resolved config, without Hydra's own part

    Raises QamError, with the nearest names, for unknown names and keys.
    """
    words = with_free_keys(with_default_experiment(with_quoted_paths(overrides)))
    words = with_config_directory(words, config_dir)
    runs = jobs(words)
    if len(runs) != 1:
        several = next(word for word in words if word not in runs[0])
        raise QamError(
            f"'{several}' gives several values: add -m for one run of each, write a list as key=[1,2], "
            "or quote the value"
        )
    check_groups(words)
    try:
        config = _composed(words)
        _check_appended(words, config)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise error if isinstance(error, QamError) else _explained(error, words) from None
    return config


def _composed(words: Sequence[str], keep_hydra: bool = False) -> DictConfig:
    try:
        with initialize_config_dir(str(config_directory()), version_base="1.3"):
            config = hydra_compose("train", overrides=list(words), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        if keep_hydra:
            return config
        with open_dict(config):
            del config["hydra"]
        OmegaConf.resolve(config)
    finally:
        HydraConfig.instance().cfg = None
    return config


def _check_appended(words: Sequence[str], config: DictConfig) -> None:
    """`+key=value` can add an option to an algorithm, which checks it itself; anywhere else nobody would read it."""
    for word in words:
        key = word.lstrip("+").partition("=")[0]
        appends = word.startswith("+") and not key.startswith(("algo.", "hydra.", "population")) and key not in GROUPS
        if appends and key not in (known := _keys(_composed([word for word in words if not word.startswith("+")]))):
            raise _unknown_key(key, known)


def _explained(error: Exception, words: Sequence[str]) -> QamError:
    """Hydra's message of several lines as one sentence; with the nearest keys for an unknown one."""
    raised = re.match(r"QamError raised while resolving interpolation: (.*)", str(error))
    if raised is not None:  # by a resolver of ours; OmegaConf keeps the words only
        return QamError(raised[1])
    match = re.match(r"Could not override '(.+)'\.", str(error))
    if match is None:
        return QamError(f"cannot compose the configuration ({_first_line(error)}): see `qam-train --help`")
    groups = [word for word in words if word.partition("=")[0] in (*GROUPS, SEARCH_PATH)]
    return _unknown_key(match[1], _keys(_composed(groups)))


def _unknown_key(key: str, known: Sequence[str]) -> QamError:
    leaves: dict[str, list[str]] = {}
    for name in known:
        leaves.setdefault(name.rpartition(".")[2], []).append(name)
    if key in RENAMED:
        return QamError(f"unknown key '{key}': it is called {RENAMED[key]} now")
    leaf = key.rpartition(".")[2]
    close = [leaf] if leaf in leaves else difflib.get_close_matches(leaf, leaves, n=2, cutoff=0.6)
    near = [name for leaf in close for name in leaves[leaf]]
    hint = f"did you mean {' or '.join(near[:3])}?" if near else "`qam-train --help` shows all keys"
    return QamError(f"unknown key '{key}': {hint}")


def _keys(config: DictConfig, prefix: str = "") -> list[str]:
    """Dotted names of all values and groups."""
    names = []
    for name in map(str, config):
        names.append(f"{prefix}{name}")
        if OmegaConf.is_dict(config[name]):
            names += _keys(config[name], f"{prefix}{name}.")
    return names


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__


def absolute(path: str | os.PathLike[str]) -> Path:
    """A path with ~ expanded, relative ones against the working directory."""
    return Path(path).expanduser().absolute()
