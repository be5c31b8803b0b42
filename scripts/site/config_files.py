"""The content of the files of conf/: every key with its value and its comment, as written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Key", "Option", "Remark", "is_part", "options", "read_option"]

PACKAGE = re.compile(r"^# @package (\S+)$")
INHERITED = re.compile(r"^(?P<option>[\w/.-]+)@_here_$")


@dataclass(frozen=True)
class Key:
    """A key of a config file.

    name     dotted, as in the file
    value    as it is written, on one line
    by_name  what the value has for each name, where it is a table such as ${per_domain:{...}}; else empty
    comment  of its line, "" without one
    """

    name: str
    value: str
    by_name: dict[str, Any]
    comment: str


@dataclass(frozen=True)
class Remark:
    """Whole lines of comment between keys; a heading is one line that stands alone."""

    text: str
    heading: bool


@dataclass(frozen=True)
class Option:
    """A config file.

    name      path below conf/ without ".yaml", e.g. "algo/base/flow"
    package   where its keys are in the whole configuration, "" at the top
    about     the comment that it begins with; code in it is indented
    begins    names of the options whose keys it takes over
    choices   what its defaults list chooses of other groups, as keys
    entries   its own keys and the remarks between them
    """

    name: str
    package: str
    about: str = ""
    begins: list[str] = field(default_factory=list)
    choices: list[Key] = field(default_factory=list)
    entries: list[Key | Remark] = field(default_factory=list)

    @property
    def keys(self) -> list[Key]:
        """Its own keys without the remarks."""
        return [entry for entry in self.entries if isinstance(entry, Key)]

    def full_name(self, key: Key) -> str:
        """As it is written on the command line."""
        return f"{self.package}.{key.name}".lstrip(".")


def options(conf: Path) -> dict[str, Option]:
    """All config files below a directory by their names."""
    names = sorted(path.relative_to(conf).with_suffix("").as_posix() for path in conf.rglob("*.yaml"))
    return {name: read_option(conf, name) for name in names}


def read_option(conf: Path, name: str) -> Option:
    """One of them."""
    lines = (conf / f"{name}.yaml").read_text().splitlines()
    group = name.rpartition("/")[0]
    package = group.split("/")[0] if is_part(group) or group.startswith("tuned/") else group.replace("/", ".")
    if group == "hydra/sweeper/space":  # names of keys that the trials override
        package = ""
    while lines and (match := PACKAGE.match(lines[0])):
        package = "" if match[1] == "_global_" else match[1]
        lines = lines[1:]
    opening = _leading_comment(lines)
    root = yaml.compose("\n".join(lines), Loader=yaml.SafeLoader)
    pairs = [] if root is None else [pair for pair in root.value if pair[0].value != "hydra"]
    begins, choices = _defaults(group, [value for key, value in pairs if key.value == "defaults"], lines)
    pairs = [pair for pair in pairs if pair[0].value not in ("defaults", "_target_")]
    entries = list(_entries(pairs, lines, len(opening)))
    return Option(name, package, "\n".join(line[2:] for line in opening), begins, choices, entries)


def is_part(group: str) -> bool:
    """Whether a folder has parts of the options above it, which no command chooses."""
    return group.rpartition("/")[2] in ("base", "protocol")


def _leading_comment(lines: list[str]) -> list[str]:
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[:count]


def _defaults(group: str, lists: list[Any], lines: list[str]) -> tuple[list[str], list[Key]]:
    begins, choices = [], []
    for node in (item for each in lists for item in each.value):
        if isinstance(node, yaml.ScalarNode):
            match = INHERITED.match(node.value)
            option = match["option"] if match else node.value
            if option != "_self_":
                begins.append(option.lstrip("/") if option.startswith("/") else f"{group}/{option}".lstrip("/"))
            continue
        for key, value in node.value:
            chosen = key.value.removeprefix("override ").removeprefix("optional ")
            chosen = chosen[1:] if chosen.startswith("/") else f"{group}/{chosen}".lstrip("/")
            choices.append(Key(chosen, value.value, {}, _comment(key, value, lines)))
    return begins, choices


def _entries(pairs: list[Any], lines: list[str], start: int, prefix: str = "") -> Iterator[Key | Remark]:
    """Keys of a mapping, nested ones with dotted names, and the comment lines before each."""
    for key, value in pairs:
        yield from _remarks(lines, start, key.start_mark.line)
        name = f"{prefix}{key.value}"
        if isinstance(value, yaml.MappingNode) and value.value:
            yield from _entries(value.value, lines, key.start_mark.line + 1, f"{name}.")
        else:
            text, by_name = _value(value, lines)
            yield Key(name, text, by_name, _comment(key, value, lines))
        start = _line_after(value)


def _line_after(node: Any) -> int:
    """The first line after a value; a block's own end is where the next key begins, beyond the comments between."""
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, yaml.MappingNode) else last
    return node.end_mark.line + (node.end_mark.column > 0)


def _remarks(lines: list[str], start: int, end: int) -> Iterator[Remark]:
    block: list[str] = []
    for line in [*lines[start:end], None]:
        if line is not None and line.lstrip().startswith("#"):
            block.append(line.lstrip()[1:].strip())
        elif block:
            yield Remark(" ".join(block), heading=len(block) == 1 and line == "")
            block = []


def _value(node: Any, lines: list[str]) -> tuple[str, dict[str, Any]]:
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        match = re.match(r"\$\{\w+:(\{.*\})\}$", node.value.strip(), re.DOTALL)
        return " ".join(node.value.split()), yaml.safe_load(match[1]) if match else {}
    first, last = node.start_mark, node.end_mark
    if first.line == last.line:
        return lines[first.line][first.column : last.column], {}
    items = [yaml.serialize(item).strip().removesuffix("\n...") for item in node.value]
    return f"[{', '.join(items)}]", {}


def _comment(key: Any, value: Any, lines: list[str]) -> str:
    """What follows on a key's line after its value, or after the beginning of one over several lines."""
    line = key.start_mark.line
    ends, starts = value.end_mark.line == line, value.start_mark.line == line
    column = (value.end_mark if ends else value.start_mark if starts else key.end_mark).column
    return lines[line][column:].partition("#")[2].strip()
