"""`qam-reproduce parity`: compare learning curves with those of the authors' code."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from qam_torch.cli.command import ListOf

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Trains with the settings and data of recorded learning curves of the authors' code (JAX), each run as one population
of seeds. Writes both side by side: a table with the final success, the share of seeds that solve the task and the mean
critic value (table.md), the curves (curves.csv) and one plot per run. The table reports a difference if its 99%
interval over seeds excludes zero. Runs with fewer than five seeds in either code are not compared.

Missing data are generated. After an interruption, the same command continues.
"""


def add_parser(verbs: Any) -> None:
    """Add the subcommand `parity` to the command."""
    parity = verbs.add_parser("parity", help="learning curves beside the authors' code", description=DESCRIPTION)
    add = parity.add_argument
    add("--runs", action=ListOf, default=["all"], metavar="NAME", help="such as qam-cube-single-play (default all)")
    kept = "where data files are stored (default ~/.ogbench/data)"
    add("--directory", type=Path, default=Path("~/.ogbench/data"), metavar="DIR", help=kept)
    add("--output", type=Path, default=Path("parity"), metavar="DIR", help="directory of the table, curves and plots")
    add(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="overrides of qam-train that change no result, such as trainer=gpu",
    )
    parity.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the missing runs, and write the comparison."""
    from qam_torch.paper.learning_curves import recorded_curves
    from qam_torch.plotting.learning_curves import parity_figure
    from qam_torch.plotting.style import save_figure
    from qam_torch.reproduction.arguments import chosen, require_neutral
    from qam_torch.reproduction.parity_comparison import table_lines, write_curves
    from qam_torch.reproduction.parity_runs import RUNS
    from qam_torch.system.console import Bars
    from qam_torch.system.files import prepare_directory, write_text

    names = chosen("--runs", options.runs, [one.name for one in RUNS], "recorded")
    require_neutral(options.overrides, "the recorded runs")
    prepare_directory(options.output, "directory of the comparison", "--output DIR")
    pairs = {}
    for one in (run for run in RUNS if run.name in names):
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
