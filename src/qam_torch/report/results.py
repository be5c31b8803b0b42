"""Results of a method on a task, a domain or all domains, with the published ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from qam_torch.paper import Curve, Figure, published
from qam_torch.report.collection import Collection
from qam_torch.report.evaluations import STEP
from qam_torch.report.settings import Cell
from qam_torch.stats.bootstrap import Estimate, interquartile_mean, task_mean

__all__ = ["ALL", "Group", "Result", "Step", "by_task", "common_steps", "groups_of", "over_all", "results_of"]

TASKS_OF_A_DOMAIN = 5
TASKS_OF_ALL = 50

ALL = "all domains"
"""Name of a group over several domains."""

Step = tuple[int, int]
"""Updates of the offline phase, environment steps of the online phase."""


@dataclass(frozen=True, eq=False)
class Group:
    """Members that are averaged into one result.

    Attributes:
        name: a domain, a task, or ALL.
        method: label of the cell.
        algo: algo=NAME.
        rows: evaluations of the members, see `Collection.evaluations`.
        cell: of all members; None if they differ by domain.
        tasks: how many tasks a complete group has.
        task: of the domain, None for all of them.
    """

    name: str
    method: str
    algo: str
    rows: pd.DataFrame
    cell: Cell | None = None
    tasks: int = 1
    task: int | None = None

    @property
    def curve(self) -> Curve | None:
        """The published curve of the method there, or None."""
        figures = published()
        name = self.cell.domain if self.cell else "all"
        return figures.curve(self.algo, name, self.task) if figures.has(self.algo, name, self.task) else None

    @property
    def measure(self) -> str:
        """ "success", or "return" if the environment never reports success."""
        return "success" if self.rows.success.notna().any() else "return"

    @cached_property
    def phases(self) -> list[list[Step]]:
        """The steps of the offline and of the online phase that at least half of the runs in it have reached.

        Each is in order; of several domains, only steps of all of them.
        """
        domains = [own for _, own in self.rows.groupby("domain")]
        offline, online = (
            set.intersection(*(_reached(own[own.phase == phase]) for own in domains)) for phase in ("offline", "online")
        )
        if online and offline == {(0, 0)}:  # where a run without an offline phase begins
            offline = set()
        return [sorted(steps, key=sum) for steps in (offline, online) if steps]

    @property
    def steps(self) -> list[Step]:
        """The steps of both phases."""
        return [step for steps in self.phases for step in steps]

    def scores(self, step: Step) -> dict[str, np.ndarray]:
        """Scores by task of the members that were evaluated at a step, (n,) each."""
        there = self.rows[(self.rows[STEP] == list(step)).all(axis=1)].dropna(subset="score")
        there = there.sort_values(["task", "seed"], kind="stable", na_position="first")
        return {str(place): scores.to_numpy() for place, scores in there.groupby("place", sort=False).score}


def _reached(rows: pd.DataFrame) -> set[Step]:
    """Steps that at least half of the members of a phase have reached."""
    counts = rows.dropna(subset="score").value_counts(STEP)
    return set(counts.index[2 * counts >= _members(rows)])


def _members(rows: pd.DataFrame) -> int:
    return rows.groupby(["run", "member"]).ngroups


@dataclass(frozen=True)
class Result:
    """One result of a group, and the published one.

    Attributes:
        group: whose result it is.
        step: at which it was evaluated.
        runs: (task, seed) pairs that reached the step, and all of them.
        tasks: number of tasks with such a run.
        seeds: fewest and most seeds of a task.
        mean: over tasks of the mean over seeds.
        iqm: interquartile mean over all runs.
        published: published result at or before the step, or None.
        goes_on: published result at the end of this phase, if that is later.
    """

    group: Group
    step: Step
    runs: tuple[int, int]
    tasks: int
    seeds: tuple[int, int]
    mean: Estimate
    iqm: Estimate
    published: Figure | None = None
    goes_on: Figure | None = None

    @property
    def difference(self) -> float | None:
        """Own success minus the published one."""
        return None if self.published is None else self.mean.value - self.published.success

    @property
    def overlap(self) -> bool | None:
        """Whether the two intervals, rounded to two digits, share a point; None if one is missing."""
        if self.published is None or not self.mean.bounded:
            return None
        ends = (self.mean.low, self.mean.high, self.published.low, self.published.high)
        low, high, their_low, their_high = (round(end, 2) for end in ends)
        return low <= their_high and their_low <= high

    @property
    def same_step(self) -> bool:
        """Whether the published result is of the same step."""
        return self.published is not None and self.published[:2] == self.step


def results_of(group: Group) -> list[Result]:
    """Results of a group: for each phase the last step, and the last step that is also published.

    The last step of a phase is the last that at least half of the runs in that phase have reached.
    """
    found = []
    curve = group.curve
    twins = set() if curve is None else {figure[:2] for figure in curve.figures}
    for steps in group.phases:
        last, shared = steps[-1], [step for step in steps if step in twins]
        found += [_result(group, step, curve) for step in dict.fromkeys([*shared[-1:], last])]
    return found


def common_steps(one: Group, other: Group) -> list[Step]:
    """For each phase, the last step that both share, if any."""
    shared = [step for step in one.steps if step in other.steps]
    return list({bool(online): (offline, online) for offline, online in shared}.values())


def _result(group: Group, step: Step, curve: Curve | None) -> Result:
    scores = list(group.scores(step).values())
    counts = [len(one) for one in scores]
    figure = goes_on = None
    if curve is not None and len(scores) == group.tasks:
        figure, end = curve.at(*step), curve.at(step[0] if step[1] else 10**9, 10**9 if step[1] else 0)
        goes_on = end if end is not None and sum(end[:2]) > sum(step) else None
    runs, seeds = (sum(counts), _members(group.rows)), (min(counts), max(counts))
    means = task_mean(scores), interquartile_mean(scores)
    return Result(group, step, runs, len(scores), seeds, *means, figure, goes_on)


def groups_of(collection: Collection, domain: str) -> list[Group]:
    """One group per cell of a domain, over all of its tasks."""
    return [
        Group(domain, label, cell.method, rows, cell, TASKS_OF_A_DOMAIN if rows.task.notna().any() else 1)
        for label, (cell, rows) in collection.of_domain(domain).items()
    ]


def by_task(group: Group) -> list[Group]:
    """One group per task; empty if the domain has no tasks."""
    tasks = group.rows.groupby("task")
    return [replace(group, name=rows.place.iloc[0], rows=rows, tasks=1, task=task) for task, rows in tasks]


def over_all(collection: Collection) -> list[Group]:
    """One group over several domains for each method that has one cell in each; hyperparameters may differ by domain.

    Groups without a common step are left out.
    """
    found: dict[str, list[Group]] = {}
    for domain in collection.domains:
        for group in groups_of(collection, domain):
            found.setdefault(group.algo, []).append(group)
    pooled = [
        Group(ALL, algo, algo, pd.concat([one.rows for one in groups]), tasks=TASKS_OF_ALL)
        for algo, groups in found.items()
        if len({one.name for one in groups}) == len(groups) > 1 and len({one.measure for one in groups}) == 1
    ]
    return [group for group in pooled if group.steps]
