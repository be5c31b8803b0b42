"""`qam-reproduce`: the published runs of a paper as one `qam-train` command, with an estimate of what they take.

See `qam-reproduce --help`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from qam_torch.cli.command import Parser, run_command
from qam_torch.types import QamError

__all__ = ["main"]

DESCRIPTION = """\
The runs of Li & Levine 2026 (arXiv 2601.14234): one million updates on the data set, then half a million environment
steps with an update each, twelve seeds a task, with the values that they tuned for each method and domain. The twelve
seeds of a task are one population in one process.

Prints how many runs these are and what they take, and the command that makes them; --launch gives that command.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of `qam-reproduce`.

    Args:
        arguments: command-line words; those of the process by default.

    Returns:
        Exit status: 0, 1 after printing an error in one line, 130 after Ctrl-C. With --launch the process exits with
        the status of the launched runs.
    """
    return run_command("qam-reproduce", lambda: _run(arguments), "interrupted; the same command continues")


def _run(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    from qam_torch.sweep.bench_times import read_bench
    from qam_torch.sweep.paper_plan import Plan
    from qam_torch.sweep.paper_summary import summary_lines

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


class _Parser(Parser):
    def error(self, message: str) -> NoReturn:
        raise QamError(f"{message}: see `qam-reproduce --help`")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="qam-reproduce", description="Published runs, and what they take.")
    verbs = parser.add_subparsers(required=True, metavar="PAPER")
    paper = verbs.add_parser(
        "paper", help="Li & Levine 2026", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = paper.add_argument
    add("--methods", default="all", metavar="A,B", help="such as qam,qam_e,fql (default all seventeen)")
    add("--domains", default="all", metavar="A,B", help="such as cube-triple-play (default all ten)")
    add("--tasks", default="all", metavar="1,2", help="of each domain (default all five)")
    add("--offline", action="store_true", help="without the online phase")
    add("--bench", type=Path, metavar="FILE", help="of `qam-bench --json FILE`, for the GPU hours")
    launchers = "one after the other (basic), or with hydra/launcher=qam_joblib, qam_slurm or qam_ray"
    add("--launch", choices=("basic", "joblib", "slurm", "ray"), help=f"make the runs: {launchers}")
    examples = "runs_root=/runs data.directory=/data hydra.launcher.partition=gpu"
    add("overrides", nargs="*", metavar="KEY=VALUE", help=f"where and how the runs go, such as {examples}")
    return parser
