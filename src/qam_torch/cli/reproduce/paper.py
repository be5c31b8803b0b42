"""`qam-reproduce paper`: print one `qam-train` command that makes the published runs, and estimate their cost."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from qam_torch.cli.command import ListOf

__all__ = ["add_parser", "run"]

DESCRIPTION = """\
Make the runs of Li & Levine 2026 (arXiv 2601.14234): one million updates on the dataset, then half a million
environment steps with one update each. The hyperparameters are those that the authors tuned per method and domain. The
twelve seeds of a task are one population in one process.

The command prints the number of runs, their cost, and the command that starts them. --launch runs that command.
"""


def add_parser(verbs: Any) -> None:
    """Add the subcommand `paper` to the command."""
    paper = verbs.add_parser("paper", help="the runs of Li & Levine 2026", description=DESCRIPTION)
    add = paper.add_argument
    every: Any = {"action": ListOf, "default": ["all"]}
    add("--methods", metavar="NAME", help="such as qam qam_e fql (default all)", **every)
    add("--domains", metavar="NAME", help="such as cube-triple-play (default all)", **every)
    add("--tasks", metavar="N", help="tasks of each domain, such as 1 2 (default all)", **every)
    add("--offline", action="store_true", help="leave out the online phase")
    add("--bench", type=Path, metavar="FILE", help="output of `qam-bench --json FILE`, to estimate GPU hours")
    launchers = "one after another (basic), or with hydra/launcher=qam_joblib, qam_slurm or qam_ray"
    add("--launch", choices=("basic", "joblib", "slurm", "ray"), help=f"start the runs: {launchers}")
    examples = "runs_root=/runs data.directory=/data hydra.launcher.partition=gpu"
    add(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help=f"overrides of qam-train that change no result, such as {examples}",
    )
    paper.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the plan and the command that makes its runs. With --launch, run the command."""
    from qam_torch.reproduction.bench_times import read_bench
    from qam_torch.reproduction.paper_plan import Plan
    from qam_torch.reproduction.paper_summary import summary_lines

    plan = Plan.of(options.methods, options.domains, options.tasks, options.offline, options.overrides)
    bench = None if options.bench is None else read_bench(options.bench)
    print(*summary_lines(plan, bench), sep="\n")
    words = plan.command_overrides(options.launch)
    print(f"\n{shlex.join(['qam-train', '-m', *words])}", flush=True)
    if options.launch is None:
        return 0
    from qam_torch.cli.train import main as train

    sys.argv = ["qam-train", "-m", *words]
    train()
    return 0
