"""The options of the commands, made from their argument parsers."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from unittest.mock import patch

from qam_torch.cli.command import Parser

__all__ = ["COMMANDS", "commands_page", "parser_of"]

COMMANDS = {
    "qam-eval": "evaluate",
    "qam-export": "export",
    "qam-data": "data",
    "qam-report": "report",
    "qam-reproduce": "reproduce",
    "qam-bench": "bench",
    "qam-doctor": "doctor",
    "qam-verify": "verify",
}
"""Command -> its module in `qam_torch.cli`; all but `qam-train`, whose arguments are the configuration."""


class _Parsing(BaseException):
    """Ends a command when it parses its arguments; no command catches it."""


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of a command, with those of its verbs.

    Args:
        command: one of `COMMANDS`.
    """
    found: list[argparse.ArgumentParser] = []

    def stop(self: argparse.ArgumentParser, *_: object) -> None:
        found.append(self)
        raise _Parsing

    with patch.object(Parser, "parse_args", stop), suppress(_Parsing):
        importlib.import_module(f"qam_torch.cli.{COMMANDS[command]}").main([])
    return found[0]


def commands_page() -> str:
    """A section for each command: description, usage and a table of its arguments."""
    return "\n\n".join("\n\n".join(_section(parser_of(command), level=2)) for command in COMMANDS)


def _section(parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"{'#' * level} {parser.prog}"
    yield from _description(parser.description or "")
    positionals = [action for action in parser._actions if not action.option_strings]
    verbs = [action for action in positionals if isinstance(action, argparse._SubParsersAction)]
    usage = [
        f"[{_invocation(action)}]" if action.nargs in ("?", "*") else _invocation(action) for action in positionals
    ]
    if not verbs:
        yield f"```text\n{' '.join([parser.prog, *usage, '[options]'])}\n```"
        yield from _tables(parser)
    for action in verbs:
        for verb in action.choices.values():
            yield from _section(verb, level + 1)


def _description(text: str) -> Iterator[str]:
    """Paragraphs; indented lines are text as it stands."""
    text = re.sub(r"^`[^`]*`: (\w)", lambda match: match[1].upper(), text.strip())  # a module's docstring
    for indented, group in groupby(text.splitlines(), key=lambda line: line.startswith("  ")):
        block = "\n".join(line[2:] if indented else line for line in group).strip("\n")
        yield f"```text\n{block}\n```" if indented else _escaped(block)


def _tables(parser: argparse.ArgumentParser) -> Iterator[str]:
    """A table of each group of arguments that has any, with the group's title where it is not argparse's own."""
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if not isinstance(action, argparse._HelpAction)]
        if not actions:
            continue
        if group.title not in ("positional arguments", "options"):
            yield f"{(group.title or '').capitalize()}:"
        head = "argument" if group.title == "positional arguments" else "option"
        if not any(action.help for action in actions):
            yield "\n".join([f"| {head} |", "| --- |", *(f"| `{_invocation(action)}` |" for action in actions)])
            continue
        rows = [f"| `{_invocation(one)}` | {_escaped(' '.join((one.help or '').split()))} |" for one in actions]
        yield "\n".join([f"| {head} | meaning |", "| --- | --- |", *rows])


def _invocation(action: argparse.Action) -> str:
    """As it is written on the command line: "--member M", "CKPT", "RUNS ..."."""
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices and not isinstance(action.choices, dict) and action.metavar is None:
        value = "{" + ",".join(map(str, action.choices)) + "}"
    if action.nargs in ("+", "*"):
        value += " ..."
    value = "" if action.nargs == 0 else value
    return " ".join([*action.option_strings[-1:], *([value] if value else [])])


def _escaped(text: str) -> str:
    """As Markdown: code in backquotes stays, nothing else is markup."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part.replace("|", "\\|") if i % 2 else re.sub(r"([*_\[\]$|<])", r"\\\1", part) for i, part in enumerate(parts)
    )
