"""`qam-report RUNS... [--out DIR]`: collect runs into one report with intervals, next to the published results."""

from __future__ import annotations

from collections.abc import Sequence

from qam_torch.cli.command import Parser, run_command

__all__ = ["main"]

DESCRIPTION = """\
Collect runs, finished or not, into a report: every evaluation in one table; success by task and domain with 95%
stratified bootstrap intervals, interquartile means, performance profiles and probability of improvement; learning
curves; all beside the published figures. Broken and missing runs are listed. Files in DIR:

  report.html             one page with plots, needs nothing else
  report.md, figures/     the same as Markdown
  report.tex              its tables
  figures.csv             its figures, for programs
  evaluations.csv         every evaluation of every seed
  evaluations.parquet     the same, where pyarrow is installed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `qam-report`.

    Args:
        arguments: command-line arguments. The default is the arguments of the process.

    Returns:
        Exit status, see `run_command`.
    """
    return run_command("qam-report", lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    parser = Parser(prog="qam-report", description=DESCRIPTION)
    parser.add_argument("runs", nargs="+", metavar="RUNS", help="run directories, or any directories above them")
    parser.add_argument("--out", default="report", metavar="DIR", help="directory of the report (default report)")
    options = parser.parse_args(arguments)
    from qam_torch.report.write import write_report

    for line in write_report(options.runs, options.out):
        print(line)
    return 0
