"""Parse and check the command line of `qam-train`, before Hydra parses it."""

from __future__ import annotations

import importlib.util
import itertools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

from hydra.core.override_parser.types import IntervalSweep
from omegaconf import DictConfig

from qam_torch.config.composition import compose, compose_for_hydra
from qam_torch.config.groups import with_config_directory
from qam_torch.config.literals import with_literals
from qam_torch.config.overrides import (
    as_given,
    common_words,
    jobs,
    name_of,
    parsed,
    with_free_keys,
)
from qam_torch.system.extras import install_command
from qam_torch.system.files import absolute
from qam_torch.types import QamError

__all__ = ["Command", "parse_command_line"]

EXTRAS = {
    "hydra/launcher=qam_joblib": ("joblib", "hydra_joblib_launcher"),
    "hydra/launcher=qam_slurm": ("slurm", "hydra_submitit_launcher"),
    "hydra/launcher=qam_slurm_local": ("slurm", "hydra_submitit_launcher"),
    "hydra/launcher=qam_ray": ("ray", "hydra_ray_launcher"),
    "hydra/sweeper=qam_optuna": ("optuna", "hydra_optuna_sweeper"),
}
"""Choice -> (extra that installs the package, plugin in hydra_plugins)."""


SLURM = ("SlurmRuns", "SlurmLauncher")
"""Ends of the class names of launchers whose runs continue when this process ends."""


class Command(NamedTuple):
    """A parsed command line.

    Attributes:
        flags: Hydra's flags, which Hydra requires before the overrides.
        overrides: Hydra's overrides.
        sweep: configuration of the first run of a sweep; None if the command is not a sweep.
        runs: overrides of each run of a sweep; None if a sweeper chooses them during the sweep.
        detached: whether runs continue when this process ends, as with Slurm.
    """

    flags: list[str]
    overrides: list[str]
    sweep: DictConfig | None = None
    runs: list[list[str]] | None = None
    detached: bool = False


def parse_command_line(words: Sequence[str], check: Callable[[DictConfig], None]) -> Command:
    """Parse the arguments of `qam-train`, and check the configuration of every run.

    Hydra would report a misspelled key in several lines, and in a sweep only when that run begins.

    Args:
        words: arguments of the command line.
        check: raises QamError if a configuration is invalid. It is not called if the command only prints something.

    Raises:
        QamError: an argument, a key, or a value of any run is invalid.
    """
    from qam_torch.config.hydra_internals import get_args_parser

    # Users may mix flags and overrides. Hydra requires all overrides together, so they are put last.
    parser = get_args_parser()
    parser.error = _raise_error  # type: ignore[method-assign]
    arguments = parser.parse_intermixed_args(list(words))
    flags = list(words)
    for override in arguments.overrides:
        flags.remove(override)
    if arguments.hydra_help or arguments.shell_completion:
        return Command(list(words), [])
    overrides = with_free_keys(with_literals(arguments.overrides, arguments.multirun))
    composed = with_config_directory(overrides, arguments.config_dir)
    shown = bool(arguments.help or arguments.cfg or arguments.info)
    _require_extras(composed)
    if not (arguments.multirun or shown):
        _reject_launcher(overrides)
    if not arguments.multirun:
        _compose_runs([composed], None if shown else check)
        return Command(flags, overrides)
    plain = not any(word.startswith("hydra/sweeper=") and word != "hydra/sweeper=basic" for word in composed)
    runs = jobs(composed) if plain else jobs(_ends_of_search(composed))
    configs = _compose_runs(runs, None if shown else check)
    if plain:
        _require_distinct_directories(configs, runs, common_words(composed))
    if shown:
        return Command(flags, overrides)
    launcher = str(compose_for_hydra(runs[0]).hydra.launcher.get("_target_"))
    return Command(flags, overrides, configs[0], runs if plain else None, launcher.endswith(SLURM))


def _raise_error(message: str) -> NoReturn:
    """Raise QamError for a wrong flag. Hydra's parser would print its usage and end the process."""
    raise QamError(f"{message}: see `qam-train --help`")


def _reject_launcher(overrides: Sequence[str]) -> None:
    """Raise QamError if a launcher or sweeper is given without -m, where it has no effect."""
    for word in overrides:
        if re.match(r"[+~]*hydra[/.](launcher|sweeper)\b", word):
            raise QamError(f"{word} requires several runs: add -m, or leave it out")


def _ends_of_search(overrides: Sequence[str]) -> list[str]:
    """Overrides of a sweep with a search. Each searched interval is replaced by a choice of its two ends.

    If the runs at the ends are valid, those in between are assumed to be valid. The parameters of the sweeper's
    configuration come first.
    """
    fixed = [word for word in overrides if not parsed(word).is_sweep_override()]
    sweeper = compose_for_hydra(fixed).hydra.sweeper
    given = {parsed(word).get_key_element() for word in overrides}
    configured = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items() if key not in given]
    words = []
    for word in [*configured, *overrides]:
        override = parsed(word)
        interval = override.value()
        if isinstance(interval, IntervalSweep):
            word = f"{override.get_key_element()}={interval.start},{interval.end}"
        words.append(word)
    return words


def _compose_runs(runs: Sequence[Sequence[str]], check: Callable[[DictConfig], None] | None) -> list[DictConfig]:
    """Compose and check the configuration of each run."""
    configs = []
    for run in runs:
        try:
            config = compose(run)
            if check is not None:
                check(config)
        except QamError as error:
            which = f" (in the run {' '.join(map(as_given, run))})" if len(runs) > 1 else ""
            raise QamError(f"{error}{which}") from None
        configs.append(config)
    return configs


def _require_distinct_directories(
    configs: Sequence[DictConfig], runs: Sequence[Sequence[str]], common: frozenset[str]
) -> None:
    """Raise QamError if two runs of a sweep would write to one directory, perhaps at the same time."""
    owners: dict[str, str] = {}
    for config, run in zip(configs, runs, strict=True):
        directory, name = str(absolute(config.run_dir)), name_of(run, common)
        if directory in owners:
            raise QamError(
                f"the runs '{owners[directory]}' and '{name}' have the same directory '{directory}': leave out run_dir "
                "and run_name, and sweep only over keys that change results"
            )
        owners[directory] = name


def _require_extras(overrides: Sequence[str]) -> None:
    """Raise QamError if a launcher or sweeper is chosen whose package is not installed."""
    for choice, (extra, plugin) in EXTRAS.items():
        if choice in overrides and not _is_installed(plugin):
            raise QamError(f"{choice} requires more packages: {install_command(extra)}")


def _is_installed(plugin: str) -> bool:
    """Whether Hydra finds a plugin. The parents are tried first, because find_spec raises if a parent is missing."""
    names = itertools.accumulate(("hydra_plugins", plugin), lambda parent, child: f"{parent}.{child}")
    return all(importlib.util.find_spec(name) is not None for name in names)
