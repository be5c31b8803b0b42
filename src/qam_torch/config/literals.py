"""Quote a user's paths and names, so that characters with a meaning in Hydra's grammar are taken literally."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString

__all__ = ["quoted", "unquoted", "with_literals"]

LITERAL = (
    "init_from", "data.path", "data.directory", "path", "env.path", "run_dir", "runs_root", "run_name", "env_id",
    "env.env_id", "dataset", "env.dataset", "logger.tensorboard.save_dir", "logger.wandb.save_dir", "logger.wandb.name",
    "logger.wandb.project",
)  # fmt: skip
"""Config keys whose values are paths or names."""

_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def quoted(text: str) -> str:
    """Quote a text for Hydra's grammar. The text may contain any characters."""
    return QuotedString(text, Quote.single).with_quotes()


def unquoted(word: str) -> str:
    """Remove the quotes from an override of a path or name, to display it. Other overrides are returned unchanged."""
    key, _, value = word.partition("=")
    if key.lstrip("+") not in LITERAL or not _QUOTED.fullmatch(value):
        return word
    return f"{key}={OverridesParser.create().parse_override(word).value()}"


def with_literals(overrides: Sequence[str], sweep: bool = False) -> list[str]:
    """Quote the values of paths and names for Hydra, unless they are already quoted.

    `null` is not quoted, so that it keeps its meaning. ${...} keeps its meaning because Hydra resolves it in quoted
    values, too.

    Args:
        overrides: overrides as the user wrote them.
        sweep: whether commas separate the values of several runs. If false, commas are literal.
    """
    words = []
    for word in overrides:
        key, equals, value = word.partition("=")
        if key.lstrip("+") in LITERAL and value:
            value = ",".join(_literal(part) for part in (_parts(value) if sweep else [value]))
        words.append(f"{key}{equals}{value}")
    return words


def _literal(value: str) -> str:
    return value if value.lower() == "null" or _QUOTED.fullmatch(value) else quoted(value)


def _parts(value: str) -> Iterator[str]:
    """Split a value at commas, except for commas inside a quoted value or an interpolation."""
    start, at, depth = 0, 0, 0
    while at < len(value):
        if at == start and value[at].isspace():
            start = at = at + 1
            continue
        whole = _QUOTED.match(value, at) if at == start else None
        if whole is not None and value[whole.end() : whole.end() + 1] in ("", ","):
            at = whole.end()
        elif value[at] == "," and depth == 0:
            yield value[start:at].strip()
            start = at = at + 1
        else:
            depth += value.startswith("${", at) - (value[at] == "}" and depth > 0)
            at += 1
    yield value[start:].strip()
