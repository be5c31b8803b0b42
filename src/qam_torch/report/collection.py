"""Collect all runs of a report: which runs count, which are left out and why, and which are missing."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from qam_torch.report.evaluations import members_of
from qam_torch.report.find_runs import find_runs
from qam_torch.report.read_run import Run, read_run
from qam_torch.report.results import ALL, Group
from qam_torch.report.settings import Cell, labels

__all__ = ["Collection", "Missing", "collect"]

TASKS_OF_A_DOMAIN, TASKS_OF_ALL = 5, 50
LEFT_OUT = "left out"
DONE = ("finished", "resumed", "skipped")
"""Outcomes in a sweep's record that mean that the run has results."""

SAME = ["cell_number", "place", "seed"]
"""Columns that identify duplicates: of all members with equal values in them, only one counts."""

NEEDED = [*SAME, "run", "member", "domain", "task", "experiment"]
"""Columns of the table of evaluations if it has no rows."""


@dataclass(frozen=True)
class Missing:
    """A missing run, or missing seeds of a cell.

    Attributes:
        what: name of the run, or the cell, task and seeds.
        why: reason why it is missing.
    """

    what: str
    why: str


@dataclass(frozen=True, eq=False)
class Collection:
    """All runs that were found, and all of their evaluations.

    Attributes:
        runs: all run directories, including those that do not count.
        evaluations: one row per evaluation of each member of each run, in order. Columns are those of
            `Run.evaluations`, status (of the run), cell_number (index in `cells`), cell (label of the cell, None if no
            member of it counts), and counted (whether the member counts: one per cell, task and seed).
        cells: all cells of these runs.
        missing: runs and seeds that were not found.
    """

    runs: list[Run]
    evaluations: pd.DataFrame
    cells: list[Cell]
    missing: list[Missing]

    @property
    def counted(self) -> pd.DataFrame:
        """The evaluations that count."""
        return self.evaluations[self.evaluations.counted.astype(bool)]

    @cached_property
    def groups(self) -> dict[str, list[Group]]:
        """Domain -> one group per cell over all tasks of the domain. Both are sorted, and all groups have results."""
        found = {domain: [group for group in own if group.steps] for domain, own in self._all_groups.items()}
        return {domain: own for domain, own in found.items() if own}

    @property
    def without_results(self) -> list[Group]:
        """Groups in which no step was reached by at least half of the members."""
        return [group for group in itertools.chain(*self._all_groups.values()) if not group.steps]

    @cached_property
    def _all_groups(self) -> dict[str, list[Group]]:
        found: dict[str, list[Group]] = {}
        for domain, evaluations in self.counted.groupby("domain"):
            for label, rows in _with_scores(evaluations).groupby("cell"):
                cell = self.cells[rows.cell_number.iloc[0]]
                tasks = TASKS_OF_A_DOMAIN if rows.task.notna().any() else 1
                found.setdefault(domain, []).append(Group(domain, label, cell.method, rows, cell, tasks))
        return {domain: sorted(own, key=lambda group: _numeric_order(group.method)) for domain, own in found.items()}

    @cached_property
    def over_all(self) -> list[Group]:
        """One group per method over all of its domains.

        A method is included if it has exactly one cell in each of at least two domains, and the same measure in all of
        them. Hyperparameters may differ between domains. Groups without a step common to all domains are left out.
        """
        found: dict[str, list[Group]] = {}
        for group in itertools.chain(*self.groups.values()):
            found.setdefault(group.algo, []).append(group)
        pooled = [
            Group(ALL, algo, algo, pd.concat([one.rows for one in groups]), tasks=TASKS_OF_ALL)
            for algo, groups in found.items()
            if len({one.name for one in groups}) == len(groups) > 1 and len({one.measure for one in groups}) == 1
        ]
        return [group for group in pooled if group.steps]


def collect(paths: Sequence[str | os.PathLike[str]]) -> Collection:
    """Read every run at or below the paths.

    Raises:
        QamError: a path has no run.
    """
    found = find_runs(paths)
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(read_run, found.runs, found.runs.values()))
    runs = [_mark_superseded(run, runs) for run in runs]
    runs, absent = _merge_sweep_records(runs, found.records)
    numbers: dict[Cell, int] = {}
    tables = [_with_cell_numbers(run, numbers) for run in runs if run.cells]
    rows, cells = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=NEEDED), list(numbers)
    runs, members = _drop_duplicates(runs, rows)
    experiments: dict[Cell, set[str]] = {}
    for number, experiment in zip(members.cell_number, members.experiment, strict=True):
        experiments.setdefault(cells[number], set()).add(experiment or "")
    named = labels(experiments)
    who = ["run", "member"]
    rows = rows.assign(
        status=rows.run.map({run.name: run.status for run in runs}),
        cell=rows.cell_number.map({number: named.get(cell) for number, cell in enumerate(cells)}),
        counted=pd.MultiIndex.from_frame(rows[who]).isin(pd.MultiIndex.from_frame(members[who])),
    )
    return Collection(runs, rows, cells, [*absent, *_missing_seeds(runs, members, cells, named)])


def _with_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the column score to a domain's evaluations: the success, or the return if no run reports success.

    Many environments report success only when an episode succeeds. If any run of the domain reports success, a missing
    success is therefore 0.
    """
    if rows.success.isna().all():
        return rows.assign(score=rows["return"])
    success = rows.success.fillna(0.0)
    return rows.assign(success=success, score=success)


def _with_cell_numbers(run: Run, numbers: dict[Cell, int]) -> pd.DataFrame:
    """Return a run's evaluations with the column cell_number. Cells that are not yet in `numbers` are added to it."""
    own = {member: numbers.setdefault(cell, len(numbers)) for member, cell in run.cells.items()}
    return run.evaluations.assign(cell_number=run.evaluations.member.map(own))


def _mark_superseded(run: Run, runs: Iterable[Run]) -> Run:
    """Leave a run out if a newer run replaced it. The earlier run is kept as NAME.old-1, next to the newer run NAME."""
    successor = run.path.with_name(re.sub(r"\.old-\d+$", "", run.path.name))
    if successor != run.path and any(other.path == successor for other in runs):
        return run.with_reason(f"an earlier run, since repeated as {successor.name}", LEFT_OUT)
    return run


def _merge_sweep_records(runs: Sequence[Run], records: Iterable[Path]) -> tuple[list[Run], list[Missing]]:
    """Add the reason of a failure from the sweeps' records to the runs, and list recorded runs without a directory."""
    ended: dict[str, tuple[str, str, str]] = {}
    for path in records:  # the latest sweep comes last
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            outcome = record["outcome"]
            entry = (str(record["name"]), str(outcome["ending"]), str(outcome.get("reason") or ""))
            ended[str(outcome.get("directory") or path).replace("//", "/")] = entry
        except (OSError, ValueError, LookupError, TypeError):
            ended[str(path)] = (path.name, "unreadable", "the sweep's record of it is damaged")
    found = []
    for run in runs:
        for home in {run.home, str(run.path)} & ended.keys():
            _, ending, reason = ended.pop(home)
            if ending not in DONE and run.status != "finished":
                run = run.with_reason(_ending_text(f"{ending} in its sweep", reason))
        found.append(run)
    return found, [Missing(f"run {name}", _ending_text(ending, reason)) for name, ending, reason in ended.values()]


def _ending_text(ending: str, reason: str) -> str:
    return f"{ending}: {reason}" if reason else ending


def _drop_duplicates(runs: Sequence[Run], rows: pd.DataFrame) -> tuple[list[Run], pd.DataFrame]:
    """Keep only the member with the most steps among members with the same cell, task and seed.

    Returns:
        The runs with remarks about members that do not count, and the last evaluation of each member that counts.
    """
    if rows.empty:
        return list(runs), rows
    members = members_of(rows[rows.run.isin([run.name for run in runs if run.status != LEFT_OUT])])
    best = members.loc[members.groupby(SAME, sort=False).step.idxmax()]
    others = members.drop(best.index).merge(best[[*SAME, "run"]], on=SAME, suffixes=("", "_that_counts"))
    checked = []
    for run in runs:
        own = others[others.run == run.name]
        if len(own):
            where = ", ".join(sorted(set(own.run_that_counts)))
            why = f"{', '.join(own['name'])} is counted from {where}, which has the same settings"
            run = run.with_reason(why, LEFT_OUT if len(own) == len(run.cells) else None)
        checked.append(run)
    return checked, best


def _missing_seeds(
    runs: Sequence[Run], members: pd.DataFrame, cells: Sequence[Cell], named: dict[Cell, str]
) -> list[Missing]:
    """Find the seeds of each cell that are missing on some of the domain's tasks."""
    broken = {(run.method, run.place and run.place.name, s) for run in runs if not run.cells for s in run.seeds}
    holes = []
    for number, own in members.groupby("cell_number", sort=False):
        cell, seeds, known = cells[number], sorted(set(own.seed)), set(zip(own.place, own.seed, strict=True))
        tasks = members[members.domain == cell.domain].drop_duplicates("place").sort_values("task", kind="stable")
        for place in tasks.place:
            lost = [s for s in seeds if (place, s) not in known and (cell.method, place, s) not in broken]
            if lost:
                which = "every seed" if len(lost) == len(seeds) else f"seed {', '.join(map(str, lost))}"
                holes.append(Missing(f"{named[cell]} on {place}: {which}", "no run found"))
    return holes


def _numeric_order(text: str) -> list[tuple[str, float]]:
    """Return a sort key that orders numbers in text by value, e.g. inv_temp=3 before inv_temp=10."""
    return [(words, float(number or 0)) for words, number in re.findall(r"([^\d]*)(\d*\.?\d*)", text)]
