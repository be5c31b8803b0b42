"""The members of a run, and every evaluation of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from qam_torch.report.settings import Cell, Place, cell_of, place_of
from qam_torch.types import QamError

__all__ = ["Member", "Points", "members_of"]


class Points(NamedTuple):
    """The evaluations of one member by step; nan where the environment or an old file has no value.

    Attributes:
        offline_updates: (n,) int, updates of the offline phase made by then.
        online_steps: (n,) int, environment steps of the online phase made by then, 0 while offline.
        updates: (n,), all updates made by then.
        success, returns, lengths, seconds: (n,), of the episodes.
    """

    offline_updates: np.ndarray
    online_steps: np.ndarray
    updates: np.ndarray
    success: np.ndarray
    returns: np.ndarray
    lengths: np.ndarray
    seconds: np.ndarray

    @property
    def steps(self) -> list[tuple[int, int]]:
        """(updates offline, environment steps online) of each."""
        return list(zip(self.offline_updates.tolist(), self.online_steps.tolist(), strict=True))

    @property
    def scores(self) -> np.ndarray:
        """Success, or the return if the environment never reports success."""
        return self.success if np.isfinite(self.success).any() else self.returns

    def at(self, step: tuple[int, int]) -> float | None:
        """The score at a step, or None."""
        kept = (self.offline_updates == step[0]) & (self.online_steps == step[1]) & np.isfinite(self.scores)
        return float(self.scores[kept][0]) if kept.any() else None


@dataclass(frozen=True)
class Member:
    """One seed of one cell on one task.

    Attributes:
        run: name of its run.
        number: index in its run's population.
        seed: of the member.
        place: domain and task.
        cell: settings it shares with other seeds.
        own: hyperparameters that differ between members of its run.
        points: its evaluations.
        diverged: update at which it diverged and was frozen, or None.
    """

    run: str
    number: int
    seed: int
    place: Place
    cell: Cell
    own: Mapping[str, float] = field(compare=False)
    points: Points = field(repr=False, compare=False)
    diverged: int | None = None

    @property
    def name(self) -> str:
        """Such as seed=2,lr=3: its address in `qam-eval --member ...`."""
        return ",".join([f"seed={self.seed}", *(f"{name}={value:g}" for name, value in self.own.items())])


def members_of(
    run: str,
    config: Mapping[str, Any],
    metrics: Mapping[str, np.ndarray] | None,
    summary: Mapping[str, Any] | None,
) -> tuple[Member, ...]:
    """Read the evaluated members from metrics.csv, or from the summary, which holds the last evaluation only.

    Args:
        run: its name.
        config: of the run, resolved.
        metrics: its metrics.csv; None if there is none.
        summary: its summary.json; None if there is none.

    Raises:
        QamError: the files contain impossible values.
    """
    if metrics is None:
        return _from_summary(run, config, summary) if summary is not None else ()
    offline = _offline_updates(metrics)
    own_names = list(metrics)[list(metrics).index("seed") + 1 : list(metrics).index("seconds")]
    found = []
    for number, rows in enumerate(_rows_of_members(metrics)):
        points = _points(metrics, rows, offline)
        if len(points.updates):
            first = rows[0]
            own = {name: float(metrics[name][first]) for name in own_names}
            lost = metrics["diverged"][rows] if "diverged" in metrics else np.array([np.nan])
            found.append(
                _member(run, config, number, int(metrics["seed"][first]), own, points, np.nanmax(lost, initial=0))
            )
    return tuple(found)


def _member(
    run: str, config: Mapping[str, Any], number: int, seed: int, own: Mapping[str, float], points: Points, lost: float
) -> Member:
    return Member(run, number, seed, place_of(config), cell_of(config, own), own, points, int(lost) if lost else None)


def _rows_of_members(metrics: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The rows of each member, by its index if the file has one, by its seed otherwise."""
    names = metrics.get("member", metrics["seed"])
    if not np.isfinite(names).all() or not np.isfinite(metrics["seed"]).all():
        raise QamError("metrics.csv is damaged: it has rows without a seed")
    return [np.flatnonzero(names == name) for name in np.unique(names)]


def _offline_updates(metrics: Mapping[str, np.ndarray]) -> int:
    """Updates before the online phase; every run is evaluated and logged at its start."""
    step, phase = metrics.get("step", metrics["update"]), metrics.get("phase")
    return int(np.max(step if phase is None else step[phase != 1], initial=0))


def _points(metrics: Mapping[str, np.ndarray], rows: np.ndarray, offline_updates: int) -> Points:
    """A member's evaluations; of several rows for one step, which a resumed run can leave, the last counts."""
    blank = np.full(len(rows), np.nan)
    outcome = [
        metrics[f"evaluation/{name}"][rows] if f"evaluation/{name}" in metrics else blank
        for name in ("success", "return", "length", "seconds")
    ]
    success = outcome[0]
    if np.isinf(outcome[1]).any() or (success < 0).any() or (success > 1).any():
        raise QamError("metrics.csv is damaged: it has a success outside of [0, 1], or an infinite return")
    step = metrics.get("step", metrics["update"])[rows]
    phase = metrics["phase"][rows] if "phase" in metrics else np.zeros(len(rows))
    online = np.where(phase == 1, step - offline_updates, 0)
    offline = np.where(phase == 1, offline_updates, step)
    evaluated = np.isfinite(success) | np.isfinite(outcome[1])
    last = {place: i for i, place in enumerate(zip(offline, online, strict=True)) if evaluated[i]}
    kept = [i for _, i in sorted(last.items())]
    columns = (offline.astype(np.int64), online.astype(np.int64), metrics["update"][rows], *outcome)
    return Points(*(column[kept] for column in columns))


def _from_summary(run: str, config: Mapping[str, Any], summary: Mapping[str, Any]) -> tuple[Member, ...]:
    """Each member's last evaluation, from a run without metrics.csv."""
    final, seeds = summary["final"], summary.get("seeds", [])
    updates, online = summary.get("offline_steps", summary.get("updates")), summary.get("online_steps", 0)
    members = summary.get("members") or [{"seed": seed} for seed in seeds]
    columns = [final.get(f"{name}_by_seed", [np.nan] * len(members)) for name in ("success", "return")]
    if updates is None or any(len(column) != len(members) for column in columns):
        raise QamError("it has no metrics.csv, and its summary.json does not tell what each seed came to")
    found = []
    for number, (member, success, returns) in enumerate(zip(members, *columns, strict=True)):
        own = {name: value for name, value in member.items() if name not in ("name", "seed", "diverged")}
        numbers = (updates, online, summary.get("updates", np.nan), success, returns, np.nan, np.nan)
        points = Points(*(np.array([number]) for number in numbers))
        if np.isfinite(points.scores).all():
            found.append(_member(run, config, number, member["seed"], own, points, member.get("diverged") or 0))
    return tuple(found)
