"""`qam-reproduce`: what others have published or recorded, made again, and a small benchmark.

See `qam-reproduce --help`.
"""

from __future__ import annotations

import importlib
import itertools
import re
import sys
from collections.abc import Sequence

from qam_torch.cli.command import Parser, run_command

__all__ = ["main"]

VERBS = ("paper", "parity", "small")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-reproduce`.

    Args:
        arguments: command-line words; those of the process by default.

    Returns:
        Exit status, see `run_command`; with `paper --launch` and `small` that of the runs.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return run_command("qam-reproduce", lambda: _run(words), resume_hint="the same command continues")


def _run(words: Sequence[str]) -> int:
    from qam_torch.system.import_path import include_working_directory

    include_working_directory()  # where evaluation_metrics= and plots= find modules
    description = "Reproduce published runs and recorded learning curves, or run a small benchmark."
    parser = Parser(prog="qam-reproduce", description=description)
    verbs = parser.add_subparsers(required=True, metavar="WHAT", title="see also `qam-reproduce WHAT --help`")
    for verb in VERBS:
        importlib.import_module(f"{__name__}.{verb}").add_parser(verbs)
    options = parser.parse_args(_overrides_first(words))
    status: int = options.run(options)
    return status


def _overrides_first(words: Sequence[str]) -> list[str]:
    """The words with those of `qam-train` before the options, so that none is taken for an entry of a list."""
    moved = [
        word
        for before, word in itertools.pairwise(["", *words])
        if re.match(r"[+~]{0,2}[\w./@]+=", word) and before not in ("--bench", "--output", "--directory")
    ]
    others = [word for word in words if word not in moved]
    return [*others[:1], *moved, *others[1:]]
