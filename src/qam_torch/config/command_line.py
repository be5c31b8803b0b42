"""The command line of `qam-train`, read and checked before Hydra sees it."""

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
"""Choice -> the extra that brings what it needs, and the plugin in there."""


SLURM = ("SlurmRuns", "SlurmLauncher")
"""Names of launchers whose runs only Slurm can end."""


class Command(NamedTuple):
    """The content of a command line.

    Attributes:
        flags: for Hydra, which requires them first.
        overrides: for Hydra.
        sweep: the configuration of the first run of a sweep; None where there is only one run, or none.
        runs: the overrides of each run of a sweep; None where the sweeper decides as it goes.
        elsewhere: whether runs go on without this process, as Slurm's do.
    """

    flags: list[str]
    overrides: list[str]
    sweep: DictConfig | None = None
    runs: list[list[str]] | None = None
    elsewhere: bool = False


def parse_command_line(words: Sequence[str], check: Callable[[DictConfig], None]) -> Command:
    """Read the words of `qam-train`, and check every run that they describe.

    Hydra would report a misspelled key in several lines, and only when a sweep reaches its run.

    Args:
        words: of the command line.
        check: raises QamError for a configuration that is invalid; not called where the configuration is only shown.

    Raises:
        QamError: a word, a key, or a value of any run is invalid.
    """
    from qam_torch.config.hydra_internals import get_args_parser

    # Intermixed, and the overrides put last, because Hydra takes them only in one piece.
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
        _refuse_launcher(overrides)
    if not arguments.multirun:
        _composed_runs([composed], None if shown else check)
        return Command(flags, overrides)
    plain = not any(word.startswith("hydra/sweeper=") and word != "hydra/sweeper=basic" for word in composed)
    runs = jobs(composed) if plain else jobs(_searched(composed))
    configs = _composed_runs(runs, None if shown else check)
    if plain:
        _require_own_directories(configs, runs, common_words(composed))
    if shown:
        return Command(flags, overrides)
    launcher = str(compose_for_hydra(runs[0]).hydra.launcher.get("_target_"))
    return Command(flags, overrides, configs[0], runs if plain else None, launcher.endswith(SLURM))


def _raise_error(message: str) -> NoReturn:
    """Raise QamError for a wrong flag, instead of Hydra's parser, which prints its usage and ends the process."""
    raise QamError(f"{message}: see `qam-train --help`")


def _refuse_launcher(overrides: Sequence[str]) -> None:
    """Raise QamError if a launcher or sweeper is chosen for a single run, which would not use it."""
    for word in overrides:
        if re.match(r"[+~]*hydra[/.](launcher|sweeper)\b", word):
            raise QamError(f"{word} requires several runs: add -m, or leave it out")


def _searched(overrides: Sequence[str]) -> list[str]:
    """The overrides of a sweep whose sweeper decides as it goes, with the ends of what it searches as choices.

    If the runs at the ends make sense, so do those in between. What the sweeper's configuration searches comes first.
    """
    fixed = [word for word in overrides if not parsed(word).is_sweep_override()]
    sweeper = compose_for_hydra(fixed).hydra.sweeper
    given = {parsed(word).get_key_element() for word in overrides}
    own = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items() if key not in given]
    words = []
    for word in [*own, *overrides]:
        override = parsed(word)
        interval = override.value()
        if isinstance(interval, IntervalSweep):
            word = f"{override.get_key_element()}={interval.start},{interval.end}"
        words.append(word)
    return words


def _composed_runs(runs: Sequence[Sequence[str]], check: Callable[[DictConfig], None] | None) -> list[DictConfig]:
    """The configuration of each run, checked."""
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


def _require_own_directories(
    configs: Sequence[DictConfig], runs: Sequence[Sequence[str]], common: frozenset[str]
) -> None:
    """Raise QamError if two runs of a sweep would write to one directory, perhaps at the same time."""
    owners: dict[str, str] = {}
    for config, run in zip(configs, runs, strict=True):
        directory, name = str(absolute(config.run_dir)), name_of(run, common)
        if directory in owners:
            raise QamError(
                f"the runs '{owners[directory]}' and '{name}' have the same directory '{directory}': leave out run_dir "
                "and run_name, and sweep only over what changes a result"
            )
        owners[directory] = name


def _require_extras(overrides: Sequence[str]) -> None:
    """Raise QamError if a launcher or sweeper is chosen whose package is not installed."""
    for choice, (extra, plugin) in EXTRAS.items():
        if choice in overrides and not _is_installed(plugin):
            raise QamError(f"{choice} requires more packages: {install_command(extra)}")


def _is_installed(plugin: str) -> bool:
    """Whether Hydra would find a plugin; importlib's own answer for a missing parent is an error."""
    names = itertools.accumulate(("hydra_plugins", plugin), lambda parent, child: f"{parent}.{child}")
    return all(importlib.util.find_spec(name) is not None for name in names)
