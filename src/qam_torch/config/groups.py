"""The configuration's groups and their options: the library's, and those in directories that a user adds."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from qam_torch.config.hydra_internals import ConfigRepository, create_config_search_path
from qam_torch.config.literals import quoted
from qam_torch.types import QamError

__all__ = [
    "GROUPS",
    "SEARCH_PATH",
    "check_groups",
    "config_directory",
    "options_of",
    "options_with",
    "with_config_directory",
]

GROUPS = ("algo", "algo/discretization", "env", "trainer", "logger", "callbacks", "experiment")

SEARCH_PATH = "hydra.searchpath"
"""Hydra's key for places beside the library's own in which it looks for configs."""


def config_directory() -> Path:
    """The one copy of the configs: inside an installed package, or at the top level of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "conf", package.parents[1] / "conf"):
        if (directory / "train.yaml").is_file():
            return directory
    raise QamError(f"no configs found beside {package}: reinstall qam-torch")


def with_config_directory(overrides: Sequence[str], directory: str | os.PathLike[str] | None) -> list[str]:
    """The overrides, made to look for configs in one more directory."""
    if directory is None:
        return list(overrides)
    places = [*_added(overrides), f"file://{Path(directory).expanduser().absolute()}"]
    listed = ",".join(map(quoted, places))
    return [*(word for word in overrides if not _names_places(word)), f"{SEARCH_PATH}=[{listed}]"]


def options_of(group: str, overrides: Sequence[str] = ()) -> list[str]:
    """The names a group can take, those in the places that the overrides add among them."""
    return _repository(overrides).get_group_options(group)


def options_with(group: str, inner: str, overrides: Sequence[str] = ()) -> list[str]:
    """The options of a group that choose one of a group inside it: those of algo that have algo/discretization."""
    repository = _repository(overrides)

    def chooses(path: str) -> bool:
        config = repository.load_config(path)
        return config is not None and any(
            getattr(default, "group", None) == inner or chooses(f"{group}/{getattr(default, 'path', '_self_')}")
            for default in config.defaults_list or ()
        )

    return [name for name in repository.get_group_options(group) if chooses(f"{group}/{name}")]


def check_groups(overrides: Sequence[str]) -> None:
    """Raise QamError, with the nearest names, if an override without a sweep names an unknown option of a group.

    Also for a place that is not there, and for an option that two places have: Hydra would pass over the second.
    """
    repository = _repository(overrides)
    for override in overrides:
        match = re.fullmatch(r"\+{0,2}([\w/]+)=(.*)", override)
        if match is None or match[1] not in GROUPS:
            continue
        group, choice = match[1], match[2].strip("'\"")
        known = repository.get_group_options(group)
        if choice not in known:
            near = difflib.get_close_matches(choice, known, n=3, cutoff=0.4)
            hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}"
            raise QamError(f"unknown {group} '{choice}': {hint}")
        homes = [source.path for source in repository.get_sources() if source.is_config(f"{group}/{choice}")]
        if len(homes) > 1:
            raise QamError(f"{group}={choice} is in {' and in '.join(homes)}: rename yours")


def _names_places(word: str) -> bool:
    return word.lstrip("+").startswith(f"{SEARCH_PATH}=")


def _added(overrides: Sequence[str]) -> list[str]:
    """Directories and packages besides the library's configs in which the overrides let Hydra search."""
    for word in filter(_names_places, overrides):
        places = OverridesParser.create().parse_override(word).value()
        if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
            raise QamError(
                f"{word} is not a list of directories: give '{SEARCH_PATH}=[file://DIRECTORY]' or a list of pkg://PACKAGE"
            )
        return places
    return []


def _repository(overrides: Sequence[str]) -> ConfigRepository:
    path = create_config_search_path(str(config_directory()))
    for place in _added(overrides):
        path.append(SEARCH_PATH, place)
    repository = ConfigRepository(path)
    for source in repository.get_sources():
        if source.provider == SEARCH_PATH and not source.available():
            raise QamError(
                f"no configs at '{source.path}': give the directory that has algo/NAME.yaml below it; as a package it "
                "needs an __init__.py"
            )
    return repository
