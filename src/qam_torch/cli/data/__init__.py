"""`qam-data`: list, fetch, generate, check and describe datasets. See `qam-data --help`.

Each verb is a module with `add_parser(subparsers)`, which sets `run`, a function of the parsed options that returns the
exit status. Verbs import torch only when they run.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]

VERBS = ("list", "get", "generate", "check", "stats")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-data`.

    Args:
        arguments: command-line words; those of the process by default.

    Returns:
        Exit status: that of the verb, 1 after printing an error in one line, 130 after Ctrl-C.
    """
    try:
        return _main(arguments)
    except KeyboardInterrupt:
        print("qam-data: interrupted; the same command continues where it stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _main(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    from qam_torch.types import QamError

    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        raise
    except (QamError, OSError) as error:
        print(f"qam-data: {error}", file=sys.stderr)
        return 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(1, f"qam-data: {message}: see `{self.prog} --help`\n")


def _parser() -> _Parser:
    parser = _Parser(prog="qam-data", description="Data sets of OGBench: what there is, and having it on disk.")
    where = "where data files are looked for and kept (default ~/.ogbench/data)"
    parser.add_argument("--directory", default="~/.ogbench/data", metavar="DIR", help=where)
    subparsers = parser.add_subparsers(required=True, metavar="VERB", title="verbs (`qam-data VERB --help` tells more)")
    for verb in VERBS:
        importlib.import_module(f"{__name__}.{verb}").add_parser(subparsers)
    for subparser in subparsers.choices.values():  # both `qam-data --directory DIR list` and `list --directory DIR`
        subparser.add_argument("--directory", default=argparse.SUPPRESS, metavar="DIR", help=where)
    return parser
