"""Results of a method on a task, a domain or all domains, with the published results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from qam_torch.paper import Curve, Figure, published
from qam_torch.report.evaluations import STEP, custom_metrics
from qam_torch.report.settings import Cell
from qam_torch.stats.bootstrap import Estimate, interquartile_mean, task_mean
from qam_torch.stats.success import FEWEST_SEEDS

__all__ = ["ALL", "Group", "Result", "Step", "common_steps"]

ALL = "all domains"
"""Name of a group over several domains."""

Step = tuple[int, int]
"""Number of updates in the offline phase, and number of environment steps in the online phase."""


@dataclass(frozen=True, eq=False)
class Group:
    """Members of populations whose evaluations are averaged into one result.

    Attributes:
        name: a domain, a task, or ALL.
        method: label of the cell.
        algo: name of the method as in algo=NAME.
        rows: evaluations of the members, see `Collection.evaluations`, with the added column score.
        cell: cell of all members; None if the members of different domains have different cells.
        tasks: number of tasks in a complete group.
        task: task of the domain; None for all tasks.
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
        """The published curve of the method on the group's task or domains, or None."""
        figures = published()
        name = self.cell.domain if self.cell else "all"
        return figures.curve(self.algo, name, self.task) if figures.has(self.algo, name, self.task) else None

    @property
    def measure(self) -> str:
        """ "success", or "return" if the environment never reports success."""
        return "success" if self.rows.success.notna().any() else "return"

    @cached_property
    def phases(self) -> list[list[Step]]:
        """The steps of the offline phase and of the online phase, without a phase that has no steps.

        A step is included if at least half of the members in its phase have reached it, in every domain of the group.
        The steps of a phase are sorted.
        """
        domains = [own for _, own in self.rows.groupby("domain")]
        offline, online = (
            set.intersection(*(_reached(own[own.phase == phase]) for own in domains)) for phase in ("offline", "online")
        )
        if online and offline == {(0, 0)}:  # the start of a run without an offline phase
            offline = set()
        return [sorted(steps, key=sum) for steps in (offline, online) if steps]

    @property
    def steps(self) -> list[Step]:
        """The steps of both phases."""
        return [step for steps in self.phases for step in steps]

    @cached_property
    def _scores(self) -> dict[Step, dict[str, np.ndarray]]:
        return self._by_step("score")

    def _by_step(self, column: str) -> dict[Step, dict[str, np.ndarray]]:
        order = [*STEP, "task", "seed"]
        rows = self.rows.dropna(subset=column).sort_values(order, kind="stable", na_position="first")
        found: dict[Step, dict[str, np.ndarray]] = {}
        for (offline, online, place), values in rows.groupby([*STEP, "place"], sort=False)[column]:
            found.setdefault((offline, online), {})[place] = values.to_numpy()
        return found

    def scores(self, step: Step) -> dict[str, np.ndarray]:
        """Return, for each task, the scores (n,) of the members that were evaluated at a step."""
        return self._scores.get(step, {})

    def custom_metrics(self) -> dict[str, Estimate]:
        """Return NAME -> mean over tasks for each custom metric that has a value at the last result's step."""
        step = self.results[-1].step
        values = {column: list(self._by_step(column).get(step, {}).values()) for column in custom_metrics(self.rows)}
        return {column.partition("/")[2]: task_mean(scores) for column, scores in values.items() if scores}

    @cached_property
    def by_task(self) -> list[Group]:
        """One group per task with results; empty if the domain has no tasks."""
        tasks = self.rows.groupby("task")
        found = [replace(self, name=rows.place.iloc[0], rows=rows, tasks=1, task=task) for task, rows in tasks]
        return [group for group in found if group.steps]

    @cached_property
    def results(self) -> list[Result]:
        """For each phase, the result at the last step, and the result at the last step that is also published.

        Only steps of `phases` are used, which at least half of the members in that phase have reached.
        """
        found = []
        twins = set() if self.curve is None else {figure[:2] for figure in self.curve.figures}
        for steps in self.phases:
            shared = [step for step in steps if step in twins]
            found += [_result(self, step) for step in dict.fromkeys([*shared[-1:], steps[-1]])]
        return found


def _reached(rows: pd.DataFrame) -> set[Step]:
    """Return the steps that at least half of the members in a phase have reached."""
    counts = rows.dropna(subset="score").value_counts(STEP)
    return set(counts.index[2 * counts >= _members(rows)])


def _members(rows: pd.DataFrame) -> int:
    return rows.groupby(["run", "member"]).ngroups


@dataclass(frozen=True)
class Result:
    """A result of a group, and the published result.

    Attributes:
        group: the group to which the result belongs.
        step: the step of the evaluation.
        runs: number of (task, seed) pairs that reached the step, and number of all such pairs.
        tasks: number of tasks with a run that reached the step.
        seeds: smallest and largest number of seeds on a task.
        mean: mean over tasks of the mean over seeds.
        iqm: interquartile mean over all runs.
        published: published result at or before the step, or None.
        goes_on: published result at the end of this phase, or None if it is not later than the step.
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
        """Mean of this result minus the published success, or None if nothing is published."""
        return None if self.published is None else self.mean.value - self.published.success

    @property
    def overlap(self) -> bool | None:
        """Whether the two intervals, rounded to two digits, share a point.

        The value is None if the published interval is missing, or if a task has fewer than
        `stats.success.FEWEST_SEEDS` seeds, because the interval is then too narrow.
        """
        if self.published is None or self.seeds[0] < FEWEST_SEEDS or np.isnan(self.published.low):
            return None
        ends = (self.mean.low, self.mean.high, self.published.low, self.published.high)
        low, high, their_low, their_high = (round(end, 2) for end in ends)
        return low <= their_high and their_low <= high

    @property
    def same_step(self) -> bool:
        """Whether the published result is at the same step."""
        return self.published is not None and self.published[:2] == self.step


def common_steps(one: Group, other: Group) -> list[Step]:
    """Return, for each phase, the last step that both groups share, if there is one."""
    shared = [step for step in one.steps if step in other.steps]
    return list({bool(online): (offline, online) for offline, online in shared}.values())


def _result(group: Group, step: Step) -> Result:
    scores = list(group.scores(step).values())
    counts = [len(one) for one in scores]
    curve, figure, goes_on = group.curve, None, None
    if curve is not None and len(scores) == group.tasks:
        figure, end = curve.at(*step), curve.at(step[0] if step[1] else 10**9, 10**9 if step[1] else 0)
        goes_on = end if end is not None and sum(end[:2]) > sum(step) else None
    runs, seeds = (sum(counts), _members(group.rows)), (min(counts), max(counts))
    means = task_mean(scores), interquartile_mean(scores)
    return Result(group, step, runs, len(scores), seeds, *means, figure, goes_on)
