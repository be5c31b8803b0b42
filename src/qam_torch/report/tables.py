"""The tables of a report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, combinations

from qam_torch.report.blocks import Interval, Table
from qam_torch.report.collection import Collection
from qam_torch.report.number_format import (
    format_difference,
    format_estimate,
    format_published,
    format_seeds,
    format_step,
)
from qam_torch.report.published_settings import departures
from qam_torch.report.results import Group, Result, Step, common_steps
from qam_torch.report.settings import Cell, differing_settings, format_value
from qam_torch.stats.bootstrap import Estimate, probability_of_improvement

__all__ = ["custom_metrics", "improvement", "problems", "results", "runs_table", "settings_table"]

FEW = 12
"""Tables with more rows are collapsed on a page."""

_NO_RESULT = "no step was evaluated in at least half of its runs: evaluate them at the same steps"

OVERLAP = {True: "overlap", False: "apart", None: "–"}


def results(groups: Sequence[Group], caption: str, name: str, several_tasks: bool) -> Table:
    """Build the table of results and published results, with one row per group and step."""
    rows = [_result_row(result, several_tasks) for group in groups for result in group.results]
    what = {group.measure for group in groups}
    measure = what.pop() if len(what) == 1 else "success or return"
    columns = ["", "method", "after", "seeds>", measure + ">", "IQM>", "published>", "difference>", "intervals"]
    if several_tasks:
        columns.insert(3, "tasks>")
    # Columns without any value are left out, for example if nothing is published.
    kept = [i for i, column in enumerate(columns) if column in ("", "method") or any(row[i] != "–" for row in rows)]
    return Table([columns[i] for i in kept], [[row[i] for i in kept] for row in rows], caption, name)


def _result_row(result: Result, several_tasks: bool) -> list[str]:
    group = result.group
    success = group.measure == "success"
    digits = 2 if success else 1
    place = f"task {group.task}" if group.task is not None else group.name
    row: list[str] = [place, group.method, format_step(result.step)]
    if several_tasks:
        row.append(str(result.tasks) if result.tasks == group.tasks else f"{result.tasks} of {group.tasks}")
    figure = result.published
    return [
        *row,
        format_seeds(result),
        Interval(format_estimate(result.mean, digits), result.mean if success else None),
        format_estimate(result.iqm, digits),
        Interval(format_published(result), Estimate(*figure[2:]) if figure else None),
        format_difference(result.difference),
        OVERLAP[result.overlap],
    ]


def improvement(groups: Sequence[Group], caption: str, name: str) -> Table:
    """Build the table of probabilities of improvement: each pair of methods, at the last common step of each phase."""
    rows = [
        [one.method, other.method, *found]
        for one, other in combinations(groups, 2)
        for step in common_steps(one, other)
        if (found := _compare(one, other, step)) is not None
    ]
    return Table(["method X", "method Y", "after", "tasks>", "P(X > Y)>"], rows, caption, name, folded=len(rows) > FEW)


def _compare(one: Group, other: Group, step: Step) -> list[str] | None:
    ours, theirs = one.scores(step), other.scores(step)
    shared = [place for place in ours if place in theirs]
    if not shared:
        return None
    estimate = probability_of_improvement([ours[place] for place in shared], [theirs[place] for place in shared])
    return [format_step(step), str(len(shared)), Interval(format_estimate(estimate), estimate)]


def custom_metrics(groups: Sequence[Group], caption: str, name: str) -> Table:
    """Build the table of custom metrics, with one row per group at its last step and one column per metric."""
    found = [(group, values) for group in groups if (values := group.custom_metrics())]
    names = list(dict.fromkeys(chain(*(values for _, values in found))))
    rows = [
        [group.method, format_step(group.results[-1].step)]
        + [format_estimate(values[one], 3) if one in values else "–" for one in names]
        for group, values in found
    ]
    return Table(["method", "after", *(f"{one}>" for one in names)], rows, caption, name)


def problems(collection: Collection) -> Table:
    """Build the table of runs with remarks (broken, unfinished, left out or only in part counted) and missing runs."""
    rows: list[list[str]] = [[run.status, run.name, run.reached or "–", run.why] for run in collection.runs if run.why]
    rows += [["missing", one.what, "–", one.why] for one in collection.missing]
    rows += [["left out", f"{one.method} on {one.name}", "–", _NO_RESULT] for one in collection.without_results]
    rows.sort(key=lambda row: ["broken", "missing", "unfinished", "finished", "left out"].index(str(row[0])))
    return Table(["status", "run", "reached", "why"], rows, "Broken, missing and left-out runs", "problems")


def runs_table(collection: Collection) -> Table:
    """Build the table of all runs."""
    rows = []
    for run in collection.runs:
        seeds = ", ".join(map(str, run.evaluations.seed.unique())) if run.cells else "–"
        place = run.place.name if run.place else "–"
        rows.append([run.name, run.status, run.method or "–", place, seeds, run.reached or "–"])
    return Table(
        ["run", "status", "method", "task", "seeds", "reached"], rows, "All runs", "runs", folded=len(rows) > FEW
    )


def settings_table(collection: Collection) -> Table:
    """Build the table of settings in which a cell differs from other cells of its method or from the published runs."""
    rows = []
    for group in chain(*collection.groups.values()):
        assert group.cell is not None  # only groups of several domains have no cell
        cells = [other.cell for other in collection.groups[group.name] if other.cell and other.algo == group.algo]
        settings = dict(group.cell.settings)
        own = [
            f"{key}={format_value(settings[key])}" if key in settings else f"no {key}"
            for key in differing_settings(cells)
        ]
        rows.append([group.method, group.name, ", ".join(own) or "–", _departures_text(group.cell)])
    columns = ["method", "domain", "unlike its other runs", "unlike the published runs (theirs)"]
    return Table(columns, rows, "Settings", "settings", folded=len(rows) > FEW)


def _departures_text(cell: Cell) -> str:
    departed = departures(cell)
    if departed is None:
        return "no published settings"
    changes = [f"{key}={format_value(own)} ({format_value(theirs)})" for key, (own, theirs) in departed.items()]
    return ", ".join(changes) or "the published settings"
