"""What a check of a data file found."""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["Finding", "Level"]

Level = Literal["ok", "note", "error"]


class Finding(NamedTuple):
    """What one check found.

    check  name of the check, one word
    level  "ok"; "note": worth knowing, harmless; "error": do not train on this
    told   the numbers, one sentence
    """

    check: str
    level: Level
    told: str
