"""Tables for other programs: one row per evaluation, and one per reported result."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qam_torch.report.collection import Collection
from qam_torch.report.results import ALL, Result
from qam_torch.report.settings import differing_settings, format_value
from qam_torch.system.files import atomic_path, write_text
from qam_torch.types import QamError

__all__ = ["evaluations", "figures", "write_csv", "write_parquet"]

Rows = list[dict[str, Any]]


def evaluations(collection: Collection) -> Rows:
    """One row per evaluation of each member of each run, including runs that do not count; None where blank.

    Each setting in which runs of a method differ has a column, named by its key.
    """
    cells = list({member.cell for run in collection.runs for member in run.members})
    keys = sorted(
        {
            key
            for method in {c.method for c in cells}
            for key in differing_settings([c for c in cells if c.method == method])
        }
    )
    counted = {(member.run, member.number) for member in collection.members}
    rows: Rows = []
    for run in collection.runs:
        for member in run.members:
            settings = dict(member.cell.settings)
            about = {
                "run": run.name, "status": run.status, "counted": (run.name, member.number) in counted,
                "experiment": run.experiment or None, "env": settings.get("env.dataset") or member.place.domain,
                "domain": member.place.domain, "task": member.place.task, "method": run.method,
                "cell": collection.labels.get(member.cell), "seed": member.seed, "member": member.number,
                "diverged": member.diverged, "episodes": run.episodes,
            }  # fmt: skip
            own = {key: _plain(settings.get(key)) for key in keys}
            points = member.points
            for i, (offline, online) in enumerate(points.steps):
                rows.append({
                    **about, "phase": "online" if online else "offline", "step": offline + online,
                    "offline_updates": offline, "online_steps": online, "updates": _finite(points.updates[i]),
                    "success": _finite(points.success[i]), "return": _finite(points.returns[i]),
                    "length": _finite(points.lengths[i]), "seconds": _finite(points.seconds[i]), **own,
                })  # fmt: skip
    return rows


def figures(results: Sequence[Result]) -> Rows:
    """One row per result of a task, a domain or all domains, with the published one."""
    rows: Rows = []
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
            row |= {name: estimate.value, f"{name}_low": _finite(estimate.low), f"{name}_high": _finite(estimate.high)}
        names = ("offline_updates", "online_steps", "success", "low", "high")
        row |= {f"published_{name}": published[i] if published else None for i, name in enumerate(names)}
        rows.append({**row, "difference": result.difference, "overlap": result.overlap})
    return rows


def _finite(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _plain(value: Any) -> Any:
    return format_value(value) if isinstance(value, tuple) else value


def write_csv(rows: Rows, path: Path) -> None:
    """Write rows of equal columns atomically as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def write_parquet(rows: Rows, path: Path) -> bool:
    """Write rows atomically as parquet; returns False without writing if pyarrow is missing or there are no rows."""
    if importlib.util.find_spec("pyarrow") is None or not rows:
        return False
    import pyarrow
    import pyarrow.parquet

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    for name, values in columns.items():
        if (
            len({type(value) for value in values if value is not None}) > 1
        ):  # a setting that is a word here, a number there
            columns[name] = [None if value is None else format_value(value) for value in values]
    try:
        with atomic_path(path) as temporary:
            pyarrow.parquet.write_table(pyarrow.table(columns), temporary)
    except OSError as error:
        raise QamError(f"could not write '{path}' ({error}): free some disk space") from error
    return True
