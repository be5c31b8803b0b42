"""What a method came to on a task, on a domain, on all of them: own figures, and the published ones beside them."""

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
    """Members that are summed up in one figure, and what they are called.

    Attributes:
        name: a domain, a task, or ALL.
        method: label of the cell.
        algo: algo=NAME.
        tasks: how many there would be.
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
        """What is published of the method there."""
        figures = published()
        name = "all" if self.name == ALL else self.members[0].place.domain
        return figures.curve(self.algo, name, self.task) if figures.has(self.algo, name, self.task) else None

    @property
    def measure(self) -> str:
        """What is compared: success, or the return where the environment never tells success."""
        return "success" if any(np.isfinite(m.points.success).any() for m in self.members) else "return"


@dataclass(frozen=True)
class Result:
    """One figure of a group, and the published one.

    Attributes:
        step: where it was measured.
        runs: (task, seed) pairs that came so far, and how many there are.
        tasks: with such a run.
        seeds: of a task, fewest and most.
        published: None where nothing is, or nothing so early.
        goes_on: the published figure at the end of this phase, where that is later.
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
        """Own success less the published one."""
        return None if self.published is None else self.mean.value - self.published.success

    @property
    def overlap(self) -> bool | None:
        """Whether the two intervals, to the two digits that are told, share a point; None where one is missing."""
        if self.published is None or not self.mean.bounded:
            return None
        ends = (self.mean.low, self.mean.high, self.published.low, self.published.high)
        low, high, their_low, their_high = (round(end, 2) for end in ends)
        return low <= their_high and their_low <= high

    @property
    def same_step(self) -> bool:
        """Whether the published figure is of the very same step."""
        return self.published is not None and self.published[:2] == self.step


def results_of(group: Group) -> list[Result]:
    """The figures of a group: of each phase the last, and the last that has a published twin of the same step.

    The last step of a phase is the last that half of those runs have come to which have come to that phase.
    """
    found = []
    curve = group.curve
    twins = set() if curve is None else {figure[:2] for figure in curve.figures}
    for steps in _phases(group.members):
        last, shared = steps[-1], [step for step in steps if step in twins]
        found += [_result(group, step, curve) for step in dict.fromkeys([*shared[-1:], last])]
    return found


def scores_at(members: Sequence[Member], step: Step) -> dict[Place, np.ndarray]:
    """Scores by task of the members that were evaluated there, (n,) each."""
    found: dict[Place, list[float]] = {}
    for member in sorted(members, key=lambda member: (member.place.task or 0, member.seed)):
        if (score := member.points.at(step)) is not None:
            found.setdefault(member.place, []).append(score)
    return {place: np.array(scores) for place, scores in found.items()}


def steps_of(members: Sequence[Member]) -> list[Step]:
    """The steps that at least half of those came to that have come to that phase, in each domain, in order."""
    return [step for steps in _phases(members) for step in steps]


def common_steps(one: Sequence[Member], other: Sequence[Member]) -> list[Step]:
    """Of each phase the last step of both, where there is one."""
    shared = set(steps_of(one)) & set(steps_of(other))
    phases = [[step for step in shared if bool(step[1]) == online] for online in (False, True)]
    return [max(steps, key=sum) for steps in phases if steps]


def _phases(members: Sequence[Member]) -> list[list[Step]]:
    """The steps of the offline and of the online phase, where there are such, each in order."""
    domains: dict[str, list[Member]] = {}
    for member in members:
        domains.setdefault(member.place.domain, []).append(member)
    offline, online = (set.intersection(*(_reached(own, phase) for own in domains.values())) for phase in (False, True))
    if online and offline == {(0, 0)}:  # where a run without an offline phase begins
        offline = set()
    return [sorted(steps, key=sum) for steps in (offline, online) if steps]


def _reached(members: Sequence[Member], online: bool) -> set[Step]:
    """The steps of a phase to which half of those came that have begun it."""
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
    """A group for each cell of a domain, over all of its tasks."""
    return [
        Group(domain, collection.labels[cell], cell.method, tuple(members), _tasks_of(members))
        for cell, members in collection.cells(domain).items()
    ]


def by_task(group: Group) -> list[Group]:
    """The same for each of its tasks; none where the domain has no tasks."""
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
    """A group over several domains for each method with one cell in each, whose numbers may be tuned for each.

    None where they have no step in common.
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
