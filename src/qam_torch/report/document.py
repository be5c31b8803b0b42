"""Build the report as a list of blocks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from qam_torch.report.blocks import Block, Heading, Panels, Text
from qam_torch.report.collection import Collection
from qam_torch.report.figures import curves, profiles
from qam_torch.report.number_format import format_count, format_published_end, format_step
from qam_torch.report.published_settings import departures
from qam_torch.report.render import methodology
from qam_torch.report.results import ALL, Group
from qam_torch.report.tables import custom_metrics, improvement, problems, results, runs_table, settings_table

__all__ = ["document", "run_counts"]


def document(collection: Collection) -> list[Block]:
    """Build all blocks of the report, in order."""
    overview = [*collection.over_all, *chain(*collection.groups.values())]
    blocks: list[Block] = [Heading("Report", 1), Text([run_counts(collection)])]
    if overview:
        blocks += [Heading("Overview"), results(overview, "By domain", "domains", several_tasks=True)]
        blocks += _notes(overview)
    problem_table = problems(collection)
    if problem_table.rows:
        blocks += [Heading("Broken, missing and left-out runs"), problem_table]
    for domain, groups in collection.groups.items():
        blocks += _domain(domain, groups)
    if overview:
        blocks += [Heading("Settings"), settings_table(collection)]
    curves = [group.curve for group in overview if group.curve is not None and group.curve.doubts]
    explanation = Text(methodology(list({curve.method: curve for curve in curves}.values())))
    return [*blocks, Heading("Runs"), runs_table(collection), Heading("Methodology"), explanation]


def run_counts(collection: Collection) -> str:
    """How many runs have which status, as "12 runs: 10 finished, 1 unfinished, 1 broken; 2 missing."."""
    counts = Counter(run.status for run in collection.runs)
    counted = ", ".join(
        f"{counts[status]} {status}" for status in ("finished", "unfinished", "broken", "left out") if counts[status]
    )
    missing = f"; {len(collection.missing)} missing" if collection.missing else ""
    runs = len(collection.runs)
    return f"{runs:,} run{'s' if runs != 1 else ''}: {counted}{missing}."


def _domain(domain: str, groups: Sequence[Group]) -> Iterator[Block]:
    name = re.sub(r"[^\w-]+", "-", domain)
    yield Heading(domain)
    tasks = sorted((one for group in groups for one in group.by_task), key=lambda one: one.task or 0)
    if tasks:
        yield results(tasks, f"{domain} by task", f"{name}-tasks", several_tasks=False)
    yield curves(groups, name)
    metrics = custom_metrics(groups, f"{domain}: custom metrics", f"{name}-metrics")
    if metrics.rows:
        yield metrics
    if len(groups) > 1:
        profile_panels: Panels | None = profiles(groups, name)
        if profile_panels is not None:
            yield profile_panels
        compared = improvement(groups, f"{domain}: probability of improvement", f"{name}-improvement")
        if compared.rows:
            yield compared


def _notes(groups: Sequence[Group]) -> list[Block]:
    """Notes about the comparison with published results."""
    notes = []
    for group in groups:
        last = group.results[-1]
        where = group.name
        if last.goes_on is not None:
            longer = f"the published runs continue to {format_published_end(last.goes_on)}"
            notes.append(f"**{group.method} on {where}** stops after {format_step(last.step)}; {longer}.")
        if group.curve is not None and last.published is None and group.name != ALL:
            notes.append(f"**{group.method} on {where}**: {_why_not_compared(group, last.tasks, last.step)}.")
        notes += _differing_settings(group)
    return [Text(notes)] if notes else []


def _why_not_compared(group: Group, tasks: int, step: tuple[int, int]) -> str:
    if tasks < group.tasks:
        return f"{tasks} of {group.tasks} tasks cannot be compared with the published mean of all tasks: see each task"
    if step[1]:
        offline = f"{format_count(step[0])} updates"
        return f"no results are published for an online phase after {offline} at or before {format_step(step)}"
    return f"no results are published at or before {format_step(step)}"


def _differing_settings(group: Group) -> list[str]:
    """A note that lists settings in which the runs differ from the published ones; empty if there are none."""
    differing = departures(group.cell) if group.cell else None
    if not differing:
        return []
    names = ", ".join(f"`{key}`" for key in list(differing)[:4]) + (", …" if len(differing) > 4 else "")
    count = f"{len(differing)} settings differ" if len(differing) > 1 else "one setting differs"
    return [f"**{group.method} on {group.name}** was not run as published: {count} ({names}), see Settings."]
