"""Tables for other programs: one with a row per evaluation, and one with a row per reported result."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from qam_torch.report.collection import Collection
from qam_torch.report.evaluations import custom_metrics
from qam_torch.report.results import ALL, Result
from qam_torch.report.settings import differing_settings, format_value
from qam_torch.system.files import atomic_path, write_text
from qam_torch.types import QamError

__all__ = ["evaluations", "figures", "write_csv", "write_parquet"]

COLUMNS = [
    "run", "status", "counted", "experiment", "env", "domain", "task", "method", "cell", "seed", "member", "diverged",
    "episodes", "phase", "step", "offline_updates", "online_steps", "updates", "success", "return", "length", "seconds",
]  # fmt: skip


def evaluations(collection: Collection) -> pd.DataFrame:
    """Build a table with one row per evaluation of each member of each run, including runs that do not count.

    Each custom metric has a column evaluation/NAME. Each setting in which runs of a method differ has a column with the
    setting's key.
    """
    cells, rows = collection.cells, collection.evaluations
    if rows.empty:
        return pd.DataFrame()
    rows = rows.astype({"diverged": "Int64"})  # update at which the member diverged; blank if it did not
    families = [[cell for cell in cells if cell.method == method] for method in {cell.method for cell in cells}]
    keys = sorted({key for family in families for key in differing_settings(family)})
    settings = pd.DataFrame([[_plain(dict(cell.settings).get(key)) for key in keys] for cell in cells], columns=keys)
    values = rows[[*COLUMNS, *custom_metrics(rows)]]
    return pd.concat([values, settings.loc[rows.cell_number].set_axis(rows.index)], axis=1)


def figures(results: Sequence[Result]) -> pd.DataFrame:
    """Build a table with one row per result on a task, a domain or all domains, beside the published result."""
    rows = []
    for result in results:
        group, published = result.group, result.published
        row: dict[str, Any] = {
            "level": "all" if group.name == ALL else "domain" if group.task is None else "task",
            "name": group.name, "task": group.task, "method": group.method, "algo": group.algo,
            "offline_updates": result.step[0], "online_steps": result.step[1], "runs": result.runs[0],
            "of_runs": result.runs[1], "tasks": result.tasks, "of_tasks": group.tasks, "fewest_seeds": result.seeds[0],
            "most_seeds": result.seeds[1], "measure": group.measure,
        }  # fmt: skip
        for name, estimate in (("mean", result.mean), ("iqm", result.iqm)):
            row |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        names = ("offline_updates", "online_steps", "success", "low", "high")
        row |= {f"published_{name}": published[i] if published else None for i, name in enumerate(names)}
        rows.append({**row, "difference": result.difference, "overlap": result.overlap})
    return pd.DataFrame(rows, dtype=object)  # integers stay integers even if some values are missing


def _plain(value: Any) -> Any:
    return format_value(value) if isinstance(value, tuple) else value


def write_csv(rows: pd.DataFrame, path: Path) -> None:
    """Write a table atomically as CSV."""
    write_text(path, rows.to_csv(index=False, lineterminator="\n"))


def write_parquet(rows: pd.DataFrame, path: Path) -> bool:
    """Write a table atomically as parquet, unless pyarrow is not installed or the table has no rows.

    Returns:
        Whether a file was written.

    Raises:
        QamError: the file cannot be written.
    """
    if find_spec("pyarrow") is None or rows.empty:
        return False
    for name in rows:
        if len(set(map(type, rows[name].dropna()))) > 1:  # a setting that is a word in some runs and a number in others
            rows = rows.assign(**{str(name): rows[name].map(format_value, na_action="ignore")})
    try:
        with atomic_path(path) as temporary:
            rows.to_parquet(temporary, index=False, engine="pyarrow")
    except OSError as error:
        raise QamError(f"could not write '{path}' ({error}): free some disk space") from error
    return True
