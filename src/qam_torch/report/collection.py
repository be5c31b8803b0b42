"""All runs of a report: which count, which are left out and why, and which are missing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from qam_torch.report.find_runs import find_runs
from qam_torch.report.members import Member
from qam_torch.report.read_run import Run, read_run
from qam_torch.report.settings import Cell, Place, labels

__all__ = ["Collection", "Missing", "collect"]

LEFT_OUT = "left out"
DONE = ("finished", "resumed", "skipped")
"""Outcomes of a sweep's runs that have results."""


@dataclass(frozen=True)
class Missing:
    """A run, or seeds of a cell, that should exist and does not."""

    what: str
    why: str


@dataclass(frozen=True)
class Collection:
    """All runs and members that were found.

    Attributes:
        runs: all run directories, including those that do not count.
        members: members whose evaluations count: each seed of a cell and task once.
        labels: a short name for each cell.
        missing: runs and seeds that were not found.
    """

    runs: list[Run]
    members: list[Member]
    labels: dict[Cell, str]
    missing: list[Missing]

    @property
    def domains(self) -> list[str]:
        """With evaluations, sorted."""
        return sorted({member.place.domain for member in self.members})

    def cells(self, domain: str) -> dict[Cell, list[Member]]:
        """The members of each cell of a domain, in the order of the cells' names."""
        found: dict[Cell, list[Member]] = {}
        for member in self.members:
            if member.place.domain == domain:
                found.setdefault(member.cell, []).append(member)
        return dict(sorted(found.items(), key=lambda item: _numeric_order(self.labels[item[0]])))


def collect(paths: Sequence[str | os.PathLike[str]]) -> Collection:
    """Read every run at or below the paths; raises QamError where there is none."""
    found = find_runs(paths)
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(read_run, found.runs, found.runs.values()))
    runs = [_mark_superseded(run, runs) for run in runs]
    runs, absent = _merge_sweep_records(runs, found.records)
    runs, members = _drop_duplicates(runs)
    by_name = {run.name: run for run in runs}
    experiments: dict[Cell, set[str]] = {}
    for member in members:
        experiments.setdefault(member.cell, set()).add(by_name[member.run].experiment)
    named = labels(experiments)
    return Collection(runs, members, named, [*absent, *_missing_seeds(runs, members, named)])


def _mark_superseded(run: Run, runs: Iterable[Run]) -> Run:
    """A new run keeps the earlier one as NAME.old-1, which does not count beside its successor."""
    successor = run.path.with_name(re.sub(r"\.old-\d+$", "", run.path.name))
    if successor != run.path and any(other.path == successor for other in runs):
        return run.with_reason(f"an earlier run, since made anew as {successor.name}", LEFT_OUT)
    return run


def _merge_sweep_records(runs: Sequence[Run], records: Iterable[Path]) -> tuple[list[Run], list[Missing]]:
    """Add from the sweeps' records why a run failed, and which runs have no directory."""
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


def _drop_duplicates(runs: Sequence[Run]) -> tuple[list[Run], list[Member]]:
    """Of several members with the same cell, task and seed, keep the one with the most steps."""
    best: dict[tuple[Cell, Place, int], Member] = {}
    for run in runs:
        for member in run.members if run.status != LEFT_OUT else ():
            key = (member.cell, member.place, member.seed)
            if key not in best or sum(best[key].points.steps[-1]) < sum(member.points.steps[-1]):
                best[key] = member
    checked = []
    for run in runs:
        if run.status != LEFT_OUT:
            others = [(member, best[member.cell, member.place, member.seed]) for member in run.members]
            again = [(member, other) for member, other in others if other is not member]
            if again:
                names = ", ".join(member.name for member, _ in again)
                where = ", ".join(sorted({other.run for _, other in again}))
                run = run.with_reason(
                    f"{names} counts from {where}, which has the same settings",
                    LEFT_OUT if len(again) == len(run.members) else None,
                )
        checked.append(run)
    return checked, list(best.values())


def _missing_seeds(runs: Sequence[Run], members: Sequence[Member], named: dict[Cell, str]) -> list[Missing]:
    """Seeds of a cell that are missing on some of the domain's tasks."""
    tasks: dict[str, set[Place]] = {}
    there: dict[Cell, set[tuple[Place, int]]] = {}
    for member in members:
        tasks.setdefault(member.place.domain, set()).add(member.place)
        there.setdefault(member.cell, set()).add((member.place, member.seed))
    broken = {(run.method, run.place, seed) for run in runs if not run.members for seed in run.seeds}
    holes = []
    for cell, known in there.items():
        seeds = sorted({seed for _, seed in known})
        for place in sorted(tasks[cell.domain], key=lambda place: place.task or 0):
            lost = [s for s in seeds if (place, s) not in known and (cell.method, place, s) not in broken]
            if lost:
                which = "every seed" if len(lost) == len(seeds) else f"seed {', '.join(map(str, lost))}"
                holes.append(Missing(f"{named[cell]} on {place.name}: {which}", "no run of it was found"))
    return holes


def _numeric_order(text: str) -> list[tuple[str, float]]:
    """Sorts inv_temp=3 before inv_temp=10."""
    return [(words, float(number or 0)) for words, number in re.findall(r"([^\d]*)(\d*\.?\d*)", text)]
