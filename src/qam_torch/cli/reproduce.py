"""`qam-reproduce`: the published runs of a paper as one `qam-train` command, with an estimate of what they take.

See `qam-reproduce --help`.
"""

from __future__ import annotations

import itertools
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qam_torch.cli.command import ListOf, Parser, run_command

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
        Exit status, see `run_command`; with --launch that of the launched runs.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return run_command("qam-reproduce", lambda: _run(words), again="the same command continues")


def _run(words: Sequence[str]) -> int:
    options = _parser().parse_args(_overrides_first(words))
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


def _parser() -> Parser:
    parser = Parser(prog="qam-reproduce", description="Published runs, and what they take.")
    verbs = parser.add_subparsers(required=True, metavar="PAPER")
    paper = verbs.add_parser("paper", help="Li & Levine 2026", description=DESCRIPTION)
    add = paper.add_argument
    every: Any = {"action": ListOf, "default": ["all"]}
    add("--methods", metavar="NAME", help="such as qam qam_e fql (default all)", **every)
    add("--domains", metavar="NAME", help="such as cube-triple-play (default all)", **every)
    add("--tasks", metavar="N", help="of each domain, such as 1 2 (default all)", **every)
    add("--offline", action="store_true", help="without the online phase")
    add("--bench", type=Path, metavar="FILE", help="of `qam-bench --json FILE`, for the GPU hours")
    launchers = "one after the other (basic), or with hydra/launcher=qam_joblib, qam_slurm or qam_ray"
    add("--launch", choices=("basic", "joblib", "slurm", "ray"), help=f"make the runs: {launchers}")
    examples = "runs_root=/runs data.directory=/data hydra.launcher.partition=gpu"
    add("overrides", nargs="*", metavar="KEY=VALUE", help=f"where and how the runs go, such as {examples}")
    return parser


def _overrides_first(words: Sequence[str]) -> list[str]:
    """The words with those of `qam-train` before the options, so that none is taken for an entry of a list."""
    moved = [
        word
        for before, word in itertools.pairwise(["", *words])
        if re.match(r"[+~]{0,2}[\w./@]+=", word) and before != "--bench"
    ]
    others = [word for word in words if word not in moved]
    return [*others[:1], *moved, *others[1:]]
