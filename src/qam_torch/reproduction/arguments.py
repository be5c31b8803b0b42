"""Checks of the names and overrides that the verbs of `qam-reproduce` take."""

from __future__ import annotations

from collections.abc import Sequence

from qam_torch.config.overrides import parsed
from qam_torch.rundir.result_keys import NEUTRAL, is_in
from qam_torch.types import QamError

__all__ = ["chosen", "require_neutral"]


def chosen(option: str, given: Sequence[str], known: Sequence[str], where: str) -> tuple[str, ...]:
    """The given names, each once; all known ones for "all".

    Args:
        option: option of the command, such as --methods.
        given: its words.
        known: names that it may have.
        where: what a known name is in, such as "in the paper".

    Raises:
        QamError: a name is unknown.
    """
    names = list(known) if "all" in given else list(given)
    for name in names:
        if name not in known:
            raise QamError(f"{option} {name} is not {where}: choose from {', '.join(known)}")
    return tuple(dict.fromkeys(names))


def require_neutral(overrides: Sequence[str], runs: str) -> None:
    """Raise QamError for an override that would change a result.

    Args:
        overrides: in Hydra's grammar.
        runs: what the runs are called, such as "the published runs".
    """
    for word in overrides:
        if not is_in(NEUTRAL, parsed(word).key_or_group.replace("/", ".")):
            raise QamError(f"{word} changes {runs}: leave it out, or use qam-train")
