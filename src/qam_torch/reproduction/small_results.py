"""Write the results of the small benchmark: a table, the learning curves as CSV, and one plot per environment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from qam_torch.report.blocks import Block, Table, Text
from qam_torch.report.collection import Collection, collect
from qam_torch.report.data_tables import evaluations, write_csv
from qam_torch.report.figures import curves, save_panels
from qam_torch.report.number_format import format_count
from qam_torch.report.render import markdown
from qam_torch.report.tables import problems
from qam_torch.reproduction.small_runs import SmallRun, hours_line
from qam_torch.system.files import write_text
from qam_torch.types import QamError

__all__ = ["write_results"]

COLUMNS = ["env", "task", "method", "seed", "step", "success", "return", "length", "diverged"]
"""Columns of curves.csv."""

BEHAVIOR = "behavior cloning"
"""Name of the row with the success of the behavior flow, which is evaluated without the critic's influence."""


def write_results(runs: Sequence[SmallRun], output: Path) -> list[str]:
    """Write table.md, curves.csv and ENVIRONMENT.png of the finished runs.

    Args:
        runs: all runs of the benchmark, finished or not.
        output: existing directory in which the files are written.

    Returns:
        The lines of table.md.

    Raises:
        QamError: no run is finished.
    """
    finished = [run for run in runs if run.summary() is not None]
    if not finished:
        raise QamError("no run of the benchmark is finished: see the reasons above, the same command continues")
    collection = collect([run.paths.directory for run in finished])
    blocks: list[Block] = [_table(runs, collection), Text([hours_line(runs)])]
    remarks = problems(collection)
    text = markdown([*blocks, *([remarks] if remarks.rows else [])], pictures="")
    write_text(output / "table.md", text)
    rows = pd.concat([_behavior_rows(finished), evaluations(collection)[COLUMNS]])
    write_csv(rows.astype({"diverged": "Int64"}), output / "curves.csv")
    for domain, groups in collection.groups.items():
        save_panels(curves(groups, domain), output / f"{domain}.png")
    return text.splitlines()


def _behavior_rows(runs: Sequence[SmallRun]) -> pd.DataFrame:
    """Build the rows of curves.csv with the final success of the behavior flow, for the runs that evaluated it."""
    rows = [
        (run.values["env"]["dataset"], run.values["task"], BEHAVIOR, seed, run.updates, success)
        for run in runs
        for seed, success in zip(run.values["seeds"], _behavior_success(run), strict=False)
    ]
    return pd.DataFrame(rows, columns=["env", "task", "method", "seed", "step", "success"])


def _behavior_success(run: SmallRun) -> Sequence[float]:
    """Return the success of the behavior flow by seed; empty if the run has not evaluated it."""
    behavior = (run.summary() or {}).get("behavior")
    return [] if behavior is None else behavior["success_by_seed"]


def _table(runs: Sequence[SmallRun], collection: Collection) -> Table:
    """Build the table with one row per method and one column per environment.

    A cell has the mean success over seeds, and the success of each seed.
    """
    scores = {
        (group.algo, domain): group.scores((runs[0].updates, 0))
        for domain, groups in collection.groups.items()
        for group in groups
    }
    cells = {place: _cell(*tasks.values()) for place, tasks in scores.items()}
    for run in runs:
        if behavior := _behavior_success(run):
            cells[BEHAVIOR, run.environment] = _cell(behavior)
    tasks = {run.environment: run.values["task"] for run in runs}
    methods = dict.fromkeys(run.method for run in runs)
    if any(method == BEHAVIOR for method, _ in cells):
        methods = {BEHAVIOR: None, **methods}
    rows = [[method, *(cells.get((method, name), "–") for name in tasks)] for method in methods]
    columns = ["method", *(f"{name}, task {task}>" for name, task in tasks.items())]
    return Table(columns, rows, f"Success after {format_count(runs[0].updates)} updates", "small")


def _cell(*by_seed: Sequence[float] | np.ndarray) -> str:
    """Format the mean success and each seed's success, e.g. "0.50 (0.40, 0.60)". Only one task may be given."""
    (success,) = by_seed
    return f"{np.mean(success):.2f} ({', '.join(f'{one:.2f}' for one in success)})"
