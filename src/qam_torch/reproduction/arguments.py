"""Check the names and overrides that the subcommands of `qam-reproduce` take."""

from __future__ import annotations

from collections.abc import Sequence

from qam_torch.config.overrides import parsed
from qam_torch.rundir.result_keys import NEUTRAL, is_in
from qam_torch.types import QamError

__all__ = ["chosen", "require_neutral"]


def chosen(option: str, given: Sequence[str], known: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the given names without duplicates, or all known names if "all" is given.

    Args:
        option: option of the command, e.g. --methods.
        given: names given with the option.
        known: names that the option accepts.
        where: end of the error message "... is not", e.g. "in the paper".

    Returns:
        The names, in the given order.

    Raises:
        QamError: a name is unknown.
    """
    names = list(known) if "all" in given else list(given)
    for name in names:
        if name not in known:
            raise QamError(f"{option} {name} is not {where}: choose from {', '.join(known)}")
    return tuple(dict.fromkeys(names))


def require_neutral(overrides: Sequence[str], runs: str) -> None:
    """Check that no override would change a result.

    Args:
        overrides: overrides in Hydra's grammar.
        runs: name of the runs in the error message, e.g. "the published runs".

    Raises:
        QamError: an override would change a result.
    """
    for word in overrides:
        if not is_in(NEUTRAL, parsed(word).key_or_group.replace("/", ".")):
            raise QamError(f"{word} changes {runs}: leave it out, or use qam-train")
