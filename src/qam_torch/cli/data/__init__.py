"""`qam-data`: list, fetch, generate, check and describe datasets. See `qam-data --help`.

Each verb is a module with `add_parser(subparsers)`, which sets `run`, a function of the parsed options that returns the
exit status. Verbs import torch only when they run.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from qam_torch.cli.command import Parser, run_command

__all__ = ["main"]

VERBS = ("list", "get", "generate", "check", "stats")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-data`.

    Args:
        arguments: command-line words; those of the process by default.

    Returns:
        Exit status: that of the verb, or as `run_command` returns.
    """
    return run_command("qam-data", lambda: _run(arguments), resume_hint="the same command continues where it stopped")


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    status: int = options.run(options)
    return status


def _parser() -> Parser:
    parser = Parser(prog="qam-data", description="List, download, generate and check datasets of OGBench.")
    where = "where data files are searched and stored (default ~/.ogbench/data)"
    parser.add_argument("--directory", default="~/.ogbench/data", metavar="DIR", help=where)
    subparsers = parser.add_subparsers(required=True, metavar="VERB", title="verbs (see also `qam-data VERB --help`)")
    for verb in VERBS:
        importlib.import_module(f"{__name__}.{verb}").add_parser(subparsers)
    for subparser in subparsers.choices.values():  # both `qam-data --directory DIR list` and `list --directory DIR`
        subparser.add_argument("--directory", default=argparse.SUPPRESS, metavar="DIR", help=where)
    return parser
