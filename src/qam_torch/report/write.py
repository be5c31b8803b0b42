"""Write all files of a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import chain

from qam_torch.report.blocks import Panels
from qam_torch.report.collection import Collection, collect
from qam_torch.report.data_tables import evaluations, figures, write_csv, write_parquet
from qam_torch.report.document import document, run_counts
from qam_torch.report.figures import save_panels
from qam_torch.report.number_format import format_estimate, format_published, format_step
from qam_torch.report.render import html, latex, markdown
from qam_torch.system.files import absolute, prepare_directory, write_text
from qam_torch.system.text_table import aligned

__all__ = ["write_report"]

PICTURES = "figures"


def write_report(runs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> list[str]:
    """Write the report of all runs at or below the paths.

    Args:
        runs: run directories, or directories above them.
        out: directory of the report. It is created if it does not exist. Files of an earlier report are overwritten.

    Returns:
        Lines to print: the number of runs, the result of each method on each domain, and the path of the report.

    Raises:
        QamError: a path has no run, or the report cannot be written to `out`.
    """
    collection, directory = collect(runs), absolute(out)
    prepare_directory(directory / PICTURES, "the report's directory", "--out DIR")
    blocks = document(collection)
    for block in blocks:
        if isinstance(block, Panels):
            save_panels(block, directory / PICTURES / f"{block.name}.png")
    write_text(directory / "report.md", markdown(blocks, PICTURES))
    write_text(directory / "report.tex", latex(blocks))
    write_text(directory / "report.html", html(blocks, run_counts(collection)))
    rows = evaluations(collection)
    write_csv(rows, directory / "evaluations.csv")
    write_parquet(rows, directory / "evaluations.parquet")
    domains = list(chain(*collection.groups.values()))
    every = [*collection.over_all, *domains, *(task for group in domains for task in group.by_task)]
    write_csv(figures([result for group in every for result in group.results]), directory / "figures.csv")
    return [run_counts(collection), *_result_lines(collection), f"report: {directory}/report.html"]


def _result_lines(collection: Collection) -> list[str]:
    """Format one line per method and domain, with the result at the last step."""
    rows = []
    for group in chain(*collection.groups.values()):
        last = group.results[-1]
        digits = 2 if group.measure == "success" else 1
        published = f"published {format_published(last)}" if last.published else ""
        own = f"{group.measure} {format_estimate(last.mean, digits)}"
        rows.append((group.name, group.method, f"after {format_step(last.step)}", own, published))
    return aligned(rows)
