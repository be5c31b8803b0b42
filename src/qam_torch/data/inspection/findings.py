"""The result of one check of a data file."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Finding", "Level"]

Level = Literal["ok", "note", "error"]


class Finding(NamedTuple):
    """The result of one check.

    Attributes:
        check: name of the check, one word.
        level: "ok"; "note" if the result is harmless but worth knowing; "error" if the file is not fit for training.
        message: the result with its numbers, in one sentence.
    """

    check: str
    level: Level
    message: str
