"""`qam-reproduce parity`: learning curves beside those of the authors' code."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from qam_torch.cli.command import ListOf
from qam_torch.types import QamError

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Trains with the settings and data of recorded learning curves of the authors' code (JAX), each run as one population
of seeds. Writes both side by side: a table with the final success, the share of seeds that solve the task and the mean
critic value (table.md), the curves (curves.csv) and one plot per run. The table reports a difference if its 99%
interval over seeds excludes zero. Runs with fewer than five seeds in either code are not compared.

Missing data are generated. After an interruption, the same command continues.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command's subparsers."""
    parity = verbs.add_parser("parity", help="learning curves beside the authors' code", description=DESCRIPTION)
    add = parity.add_argument
    add("--runs", action=ListOf, default=["all"], metavar="NAME", help="such as qam-cube-single-play (default all)")
    kept = "where data files are stored (default ~/.ogbench/data)"
    add("--directory", type=Path, default=Path("~/.ogbench/data"), metavar="DIR", help=kept)
    add("--output", type=Path, default=Path("parity"), metavar="DIR", help="directory of the table, curves and plots")
    add("overrides", nargs="*", metavar="KEY=VALUE", help="where and how the runs go, such as trainer=gpu")
    parity.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the runs that are missing, and write the comparison."""
    from qam_torch.config.overrides import parsed
    from qam_torch.paper.learning_curves import recorded_curves
    from qam_torch.plotting.learning_curves import parity_figure
    from qam_torch.plotting.style import save_figure
    from qam_torch.reproduction.parity_comparison import table_lines, write_curves
    from qam_torch.reproduction.parity_runs import RUNS
    from qam_torch.rundir.result_keys import NEUTRAL, is_in
    from qam_torch.system.console import Bars
    from qam_torch.system.files import prepare_directory, write_text

    names = [one.name for one in RUNS]
    for name in options.runs:
        if name not in (*names, "all"):
            raise QamError(f"--runs {name} is not recorded: choose from {', '.join(names)}")
    for word in options.overrides:
        if not is_in(NEUTRAL, parsed(word).key_or_group.replace("/", ".")):
            raise QamError(f"{word} changes the recorded runs: leave it out, or use qam-train")
    prepare_directory(options.output, "directory of the comparison", "--output DIR")
    chosen = [one for one in RUNS if "all" in options.runs or one.name in options.runs]
    pairs = {}
    for one in chosen:
        with Bars(" transitions") as bars:
            data = one.data(options.directory.expanduser(), lambda done, total: bars("making data", done, total))
        overrides = one.overrides(data, options.overrides)
        print(f"\n{shlex.join(['qam-train', *overrides])}", flush=True)
        pairs[one.name] = one.train(overrides), recorded_curves(one.method, one.dataset)
        save_figure(
            parity_figure(*pairs[one.name], f"{one.method} on {one.environment}"), options.output / f"{one.name}.png"
        )
    lines = table_lines(pairs)
    write_text(options.output / "table.md", "\n".join(lines) + "\n")
    write_curves(options.output / "curves.csv", pairs)
    print("", *lines, f"written to {options.output}", sep="\n")
    return 0
