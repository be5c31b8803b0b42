"""Parse the overrides of a command line with Hydra's grammar, before the config is composed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException

from qam_torch.config.groups import options_of
from qam_torch.config.literals import unquoted
from qam_torch.types import QamError

__all__ = [
    "as_given",
    "common_words",
    "first_line",
    "jobs",
    "name_of",
    "parsed",
    "with_free_keys",
]


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """List the overrides of each run of a multirun, in Hydra's order. Without a sweep, there is one run.

    Raises:
        QamError: an override is not in Hydra's grammar, or sweeps over an interval.
    """
    choices = []
    for word in overrides:
        override = parsed(word)
        key = override.get_key_element()
        if not override.is_sweep_override():
            choices.append([_written(override)])
        elif override.is_interval_sweep():
            raise QamError(
                f"'{as_given(word)}' is not a list of values: give some, such as {key}=1,3, or hydra/sweeper=qam_optuna"
            )
        elif isinstance(glob := override.value(), Glob):
            choices.append([f"{key}={name}" for name in glob.filter(options_of(override.key_or_group, overrides))])
        else:
            choices.append([f"{key}={value}" for value in override.sweep_string_iterator()])
    return [list(job) for job in itertools.product(*choices)]


def common_words(overrides: Sequence[str]) -> frozenset[str]:
    """Return the overrides that all runs of a sweep share, in the form that Hydra writes for a run."""
    return frozenset(_written(override) for override in map(parsed, overrides) if not override.is_sweep_override())


def _written(override: Override) -> str:
    """Return an override without sweep in the form that Hydra writes for a run. Deletions are returned unchanged."""
    if override.is_delete():
        return str(override.input_line)
    return f"{override.get_key_element()}={override.get_value_element_as_str()}"


def name_of(run: Sequence[str], common: frozenset[str]) -> str:
    """Return the overrides in which a run of a sweep differs from other runs, as one text. It may be empty."""
    return " ".join(as_given(word) for word in run if word not in common and not word.startswith("hydra"))


def parsed(word: str) -> Override:
    """Parse an override with Hydra's grammar. Raise QamError if it is not in this grammar."""
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise QamError(f"cannot read '{as_given(word)}' ({first_line(error)}): give key=value, or ~key") from None


def with_free_keys(overrides: Sequence[str]) -> list[str]:
    """Add `++` to overrides of `population`, because Hydra requires it for new keys."""
    return [f"++{word}" if re.match(r"population[.=]", word) else word for word in overrides]


def as_given(text: str) -> str:
    """Return an override as the user wrote it. For a Hydra message that contains an override, remove only the `++`."""
    return unquoted(text).replace("++population", "population")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message without the final period. An empty message gives the class name."""
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
