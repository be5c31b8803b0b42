"""`qam-reproduce small`: a benchmark of eight methods for a workstation."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from qam_torch.cli.command import ListOf

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Train eight methods on three generated datasets with the small networks of conf/experiment/small.yaml. The three seeds
of a method are one population. As many runs are made at a time as there are CPU cores. The command prints all runs and
makes the missing ones. It writes the success of every method (table.md), the learning curves and the success of
behavior cloning (curves.csv), and one plot per environment.

--tune chooses the hyperparameters. It tries three values of each method's main hyperparameter, with a seed that the
benchmark does not use, and with half of its updates. The success of a value is the mean of its last two evaluations.
The value with the highest success is chosen. If several are equal, it is the middle one of the three, or the first if
the middle one is not among them. --tune writes tuning.csv, and prints the chosen value of each method in each
environment. These values belong in conf/tuned/small/data/ENVIRONMENT/METHOD.yaml.

Missing data are generated. After an interruption, the same command continues.
"""


def add_parser(verbs: Any) -> None:
    """Add the verb to the command's subparsers."""
    small = verbs.add_parser("small", help="a benchmark for a workstation", description=DESCRIPTION)
    add = small.add_argument
    every: Any = {"action": ListOf, "default": ["all"]}
    add("--methods", metavar="NAME", help="such as qam fql (default all)", **every)
    add("--environments", metavar="NAME", help="such as cube-single-play (default all)", **every)
    add("--tune", action="store_true", help="tune the hyperparameters instead")
    data_help = "where data files are stored (default ~/.ogbench/data)"
    add("--directory", type=Path, default=Path("~/.ogbench/data"), metavar="DIR", help=data_help)
    add("--output", type=Path, default=Path("small"), metavar="DIR", help="directory of the results (default small)")
    examples = "runs_root=/runs hydra/launcher=basic"
    add(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help=f"overrides of qam-train that change no result, such as {examples}",
    )
    small.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the runs, make the missing ones, and write the results."""
    from qam_torch.cli.train import checked, execute
    from qam_torch.reproduction.small_results import write_results
    from qam_torch.reproduction.small_runs import SmallPlan, hours_line, make_data, summary_lines
    from qam_torch.reproduction.small_tuning import choice_lines, tried_values, write_tuning
    from qam_torch.system.console import Bars
    from qam_torch.system.files import prepare_directory

    plan = SmallPlan.of(options.methods, options.environments, options.tune, options.directory, options.overrides)
    runs, words = plan.runs(), ["-m", *plan.command_overrides()]
    prepare_directory(options.output, "directory of the results", "--output DIR")
    print(*summary_lines(plan, runs), f"\n{shlex.join(['qam-train', *words])}", sep="\n", flush=True)
    command = checked(words)  # before data are generated, which takes minutes
    with Bars(" transitions") as bars:
        make_data(runs, lambda done, total: bars("making data", done, total))
    status = execute(command)
    if plan.tune:
        tried = tried_values(runs)
        write_tuning(tried, options.output / "tuning.csv")
        print("", *choice_lines(tried), hours_line(runs), sep="\n")
    else:
        print("", *write_results(runs, options.output), sep="\n")
    print(f"written to {options.output}")
    return status
