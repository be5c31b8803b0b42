"""Groups of the configuration and their options, including those in directories that a user adds."""

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
"""Hydra's key for additional directories and packages with configs."""


def config_directory() -> Path:
    """Directory of the library's configs: in the installed package, or at the top level of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "conf", package.parents[1] / "conf"):
        if (directory / "train.yaml").is_file():
            return directory
    raise QamError(f"no configs found beside {package}: reinstall qam-torch")


def with_config_directory(overrides: Sequence[str], directory: str | os.PathLike[str] | None) -> list[str]:
    """Add a directory with configs to the overrides."""
    if directory is None:
        return list(overrides)
    places = [*_added(overrides), f"file://{Path(directory).expanduser().absolute()}"]
    listed = ",".join(map(quoted, places))
    return [*(word for word in overrides if not _sets_search_path(word)), f"{SEARCH_PATH}=[{listed}]"]


def options_of(group: str, overrides: Sequence[str] = ()) -> list[str]:
    """All options of a group, including those in directories that the overrides add."""
    return _repository(overrides).get_group_options(group)


def options_with(group: str, inner: str, overrides: Sequence[str] = ()) -> list[str]:
    """Options of a group that have a nested group, such as the options of `algo` that have algo/discretization."""
    repository = _repository(overrides)

    def chooses(path: str) -> bool:
        config = repository.load_config(path)
        return config is not None and any(
            getattr(default, "group", None) == inner or chooses(f"{group}/{getattr(default, 'path', '_self_')}")
            for default in config.defaults_list or ()
        )

    return [name for name in repository.get_group_options(group) if chooses(f"{group}/{name}")]


def check_groups(overrides: Sequence[str]) -> None:
    """Raise QamError if an override selects an unknown option of a group. The message suggests the nearest names.

    It is also raised if an added directory does not exist, or if an option exists twice, because Hydra would ignore the
    second one. Overrides with several values are not checked.
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
        sources = [source.path for source in repository.get_sources() if source.is_config(f"{group}/{choice}")]
        if len(sources) > 1:
            raise QamError(f"{group}={choice} is in {' and in '.join(sources)}: rename yours")


def _sets_search_path(word: str) -> bool:
    return word.lstrip("+").startswith(f"{SEARCH_PATH}=")


def _added(overrides: Sequence[str]) -> list[str]:
    """Directories and packages with configs that the overrides add."""
    for word in filter(_sets_search_path, overrides):
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
