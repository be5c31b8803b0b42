"""Results of a method on a task, a domain or all domains, with the published ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qam_torch.paper import Curve, Figure, published
from qam_torch.report.collection import Collection
from qam_torch.report.members import Member
from qam_torch.report.settings import Place
from qam_torch.stats.bootstrap import Estimate, interquartile_mean, task_mean

__all__ = [
    "ALL",
    "Group",
    "Result",
    "Step",
    "by_task",
    "common_steps",
    "groups_of",
    "over_all",
    "results_of",
    "scores_at",
    "steps_of",
]

TASKS_OF_A_DOMAIN = 5
TASKS_OF_ALL = 50

ALL = "all domains"
"""Name of a group over several domains."""

Step = tuple[int, int]
"""Updates of the offline phase, environment steps of the online phase."""


@dataclass(frozen=True)
class Group:
    """Members that are averaged into one result.

    Attributes:
        name: a domain, a task, or ALL.
        method: label of the cell.
        algo: algo=NAME.
        members: the members.
        tasks: how many tasks a complete group has.
        task: of the domain, None for all of them.
    """

    name: str
    method: str
    algo: str
    members: tuple[Member, ...]
    tasks: int = 1
    task: int | None = None

    @property
    def curve(self) -> Curve | None:
        """The published curve of the method there, or None."""
        figures = published()
        name = "all" if self.name == ALL else self.members[0].place.domain
        return figures.curve(self.algo, name, self.task) if figures.has(self.algo, name, self.task) else None

    @property
    def measure(self) -> str:
        """ "success", or "return" if the environment never reports success."""
        return "success" if any(np.isfinite(m.points.success).any() for m in self.members) else "return"


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
    for steps in _phases(group.members):
        last, shared = steps[-1], [step for step in steps if step in twins]
        found += [_result(group, step, curve) for step in dict.fromkeys([*shared[-1:], last])]
    return found


def scores_at(members: Sequence[Member], step: Step) -> dict[Place, np.ndarray]:
    """Scores by task of the members that were evaluated at a step, (n,) each."""
    found: dict[Place, list[float]] = {}
    for member in sorted(members, key=lambda member: (member.place.task or 0, member.seed)):
        if (score := member.points.at(step)) is not None:
            found.setdefault(member.place, []).append(score)
    return {place: np.array(scores) for place, scores in found.items()}


def steps_of(members: Sequence[Member]) -> list[Step]:
    """Steps that at least half of the runs in their phase have reached, in every domain, in order."""
    return [step for steps in _phases(members) for step in steps]


def common_steps(one: Sequence[Member], other: Sequence[Member]) -> list[Step]:
    """For each phase, the last step that both share, if any."""
    shared = set(steps_of(one)) & set(steps_of(other))
    phases = [[step for step in shared if bool(step[1]) == online] for online in (False, True)]
    return [max(steps, key=sum) for steps in phases if steps]


def _phases(members: Sequence[Member]) -> list[list[Step]]:
    """The steps of the offline and of the online phase, each in order."""
    domains: dict[str, list[Member]] = {}
    for member in members:
        domains.setdefault(member.place.domain, []).append(member)
    offline, online = (set.intersection(*(_reached(own, phase) for own in domains.values())) for phase in (False, True))
    if online and offline == {(0, 0)}:  # where a run without an offline phase begins
        offline = set()
    return [sorted(steps, key=sum) for steps in (offline, online) if steps]


def _reached(members: Sequence[Member], online: bool) -> set[Step]:
    """Steps of a phase that at least half of the runs in it have reached."""
    counts = Counter(step for member in members for step in member.points.steps if member.points.at(step) is not None)
    begun = sum(any(bool(step[1]) == online for step in member.points.steps) for member in members)
    return {step for step, count in counts.items() if bool(step[1]) == online and 2 * count >= begun}


def _result(group: Group, step: Step, curve: Curve | None) -> Result:
    by_task = scores_at(group.members, step)
    scores = list(by_task.values())
    counts = [len(one) for one in scores]
    figure = goes_on = None
    if curve is not None and len(by_task) == group.tasks:
        figure = curve.at(*step)
        end = curve.at(step[0] if step[1] else 10**9, 10**9 if step[1] else 0)
        goes_on = end if end is not None and sum(end[:2]) > sum(step) else None
    return Result(
        group, step, (sum(counts), len(group.members)), len(by_task), (min(counts), max(counts)),
        task_mean(scores), interquartile_mean(scores), figure, goes_on,
    )  # fmt: skip


def groups_of(collection: Collection, domain: str) -> list[Group]:
    """One group per cell of a domain, over all of its tasks."""
    return [
        Group(domain, collection.labels[cell], cell.method, tuple(members), _tasks_of(members))
        for cell, members in collection.cells(domain).items()
    ]


def by_task(group: Group) -> list[Group]:
    """One group per task; empty if the domain has no tasks."""
    places = sorted({member.place for member in group.members if member.place.task}, key=lambda place: place.task or 0)
    return [
        replace(
            group,
            name=place.name,
            members=tuple(m for m in group.members if m.place == place),
            tasks=1,
            task=place.task,
        )
        for place in places
    ]


def over_all(collection: Collection) -> list[Group]:
    """One group over several domains for each method that has one cell in each; hyperparameters may differ by domain.

    Groups without a common step are left out.
    """
    found: dict[str, list[Group]] = {}
    for domain in collection.domains:
        for group in groups_of(collection, domain):
            found.setdefault(group.algo, []).append(group)
    pooled = [
        Group(ALL, algo, algo, tuple(member for one in groups for member in one.members), TASKS_OF_ALL)
        for algo, groups in found.items()
        if len({one.name for one in groups}) == len(groups) > 1 and len({one.measure for one in groups}) == 1
    ]
    return [group for group in pooled if steps_of(group.members)]


def _tasks_of(members: Sequence[Member]) -> int:
    return 1 if members[0].place.task is None else TASKS_OF_A_DOMAIN
