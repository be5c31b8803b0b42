"""The result of one check of a data file."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Finding", "Level"]

Level = Literal["ok", "note", "error"]


class Finding(NamedTuple):
    """What one check found.

    Attributes:
        check: name of the check, one word.
        level: "ok"; "note", worth knowing but harmless; or "error", do not train on this.
        message: the numbers, in one sentence.
    """

    check: str
    level: Level
    message: str
