"""One run directory: how far the run came, and every evaluation of each of its members."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from qam_torch.experiment.records import FAILURE, read_metrics
from qam_torch.experiment.report.settings import Cell, Place, cell_of, place_of
from qam_torch.types import QamError

__all__ = ["Member", "Points", "Run", "read_run"]

FINISHED, UNFINISHED, BROKEN = "finished", "unfinished", "broken"


class Points(NamedTuple):
    """The evaluations of one member, in the order of its steps; nan where the environment or an old file does not say.

    offline_updates  (n,) int    updates of the offline phase made by then
    online_steps     (n,) int    environment steps of the online phase made by then, 0 while offline
    updates          (n,)        all updates made by then
    success, returns, lengths, seconds   (n,)  of the episodes
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
        """What the evaluations are compared by: success, or the return where the environment never tells success."""
        return self.success if np.isfinite(self.success).any() else self.returns

    def at(self, step: tuple[int, int]) -> float | None:
        """The score of a step; None where there is none."""
        kept = (self.offline_updates == step[0]) & (self.online_steps == step[1]) & np.isfinite(self.scores)
        return float(self.scores[kept][0]) if kept.any() else None


@dataclass(frozen=True)
class Run:
    """A run directory.

    name, path  what it is told as, and where it is
    status      finished | unfinished | broken | left out
    why         anything that is not as one would expect it, in a sentence
    experiment  experiment=NAME, as far as the run's name tells
    place       domain and task
    method      algo=NAME
    seeds       that were asked for, each once
    episodes    behind each evaluation, of each member
    reached     how far it came, in words
    members     with their evaluations; none of a broken run
    home        where the run thought it was, which is what a sweep's record calls it
    """

    name: str
    path: Path
    status: str = BROKEN
    why: str = ""
    experiment: str = ""
    place: Place | None = None
    method: str = ""
    seeds: tuple[int, ...] = ()
    episodes: int | None = None
    reached: str = ""
    members: tuple[Member, ...] = ()
    home: str = ""

    def because(self, why: str, status: str | None = None) -> Run:
        """The same with one more thing to say about it."""
        return replace(self, status=status or self.status, why="; ".join(filter(None, [self.why, why])))


@dataclass(frozen=True)
class Member:
    """One seed of one cell on one task.

    number    in its run's population
    diverged  the update from which on it stayed as it was, if it diverged
    """

    run: str
    number: int
    seed: int
    place: Place
    cell: Cell
    points: Points = field(repr=False)
    diverged: int | None = None


def read_run(name: str, path: Path) -> Run:
    """Read what a run has left; never raises for what is in the directory."""
    run = Run(name, path)
    try:
        config = _config(path)
        run = _described(run, config)
        metrics = _metrics(path)
        summary, damage = _summary(path)
        members = _members(run, config, metrics, summary)
    except QamError as error:
        return run.because(str(error))
    if not members:
        failure = _failure(path)
        return run.because(f"it {failure}" if failure else "it was not evaluated once")
    run = replace(run, members=members, reached=_reached(members))
    if summary is None or not _covers(summary, config):
        run = replace(run, status=UNFINISHED).because(damage or _failure(path) or _remaining(config))
    else:
        run = replace(run, status=FINISHED).because(damage)
    lost = [f"{_address(member, config)} diverged at update {member.diverged:,}" for member in members if member.diverged]
    return run.because(", ".join(lost) + ", and was evaluated as it stayed") if lost else run


# The files


def _config(path: Path) -> dict[str, Any]:
    try:
        if not any(path.iterdir()):
            raise QamError("the directory is empty: the run ended before it began")
        text = (path / "config.yaml").read_text(encoding="utf-8")
        config = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        raise QamError("it has no config.yaml") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is damaged"
        raise QamError(f"its config.yaml cannot be read ({reason})") from None
    needed = {"algo_name": str, "algo": dict, "env": dict, "env_name": str}
    if not isinstance(config, dict) or any(not isinstance(config.get(key), kind) for key, kind in needed.items()):
        raise QamError("its config.yaml is not that of a run")
    return config


def _metrics(path: Path) -> dict[str, np.ndarray] | None:
    """metrics.csv without the training metrics; None where the run was to write none, or has not yet."""
    if not (path / "metrics.csv").exists():
        return None
    try:
        return read_metrics(path / "metrics.csv", training=False)
    except QamError as error:
        raise QamError(str(error).replace(f"{path}/", "")) from None


def _summary(path: Path) -> tuple[dict[str, Any] | None, str]:
    """summary.json, and what is wrong with it if it cannot be used."""
    if not (path / "summary.json").exists():
        return None, ""
    try:
        summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
        if isinstance(summary, dict) and isinstance(summary.get("final"), dict):
            return summary, ""
    except (OSError, ValueError):
        pass
    return None, "its summary.json is damaged"


def _failure(path: Path) -> str:
    try:
        words = " ".join((path / FAILURE).read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        return ""
    return f"failed: {words.partition('; last good checkpoint')[0]}"


# What they say


def _described(run: Run, config: Mapping[str, Any]) -> Run:
    experiment, _, rest = str(config.get("run_name", "")).partition("/")
    return replace(
        run,
        experiment=experiment if rest.startswith(str(config["env_name"])) else "",
        place=place_of(config),
        method=str(config["algo_name"]),
        seeds=tuple(config.get("seeds") or [config.get("seed", 0)]),
        episodes=config.get("eval_episodes"),
        home=str(config.get("run_dir", "")).replace("//", "/"),
    )


def _members(
    run: Run, config: Mapping[str, Any], metrics: Mapping[str, np.ndarray] | None, summary: Mapping[str, Any] | None
) -> tuple[Member, ...]:
    """Those that were evaluated: of metrics.csv, or where the run wrote none of the summary, which has the last only."""
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
            found.append(_member(run, config, number, int(metrics["seed"][first]), own, points, np.nanmax(lost, initial=0)))
    return tuple(found)


def _member(
    run: Run, config: Mapping[str, Any], number: int, seed: int, own: Mapping[str, float], points: Points, lost: float
) -> Member:
    assert run.place is not None
    place, cell = run.place, cell_of(config, own)
    return Member(run.name, number, seed, place, cell, points, int(lost) if lost else None)


def _rows_of_members(metrics: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The rows of each member, known by its index where the file has one, else by its seed."""
    names = metrics.get("member", metrics["seed"])
    if not np.isfinite(names).all() or not np.isfinite(metrics["seed"]).all():
        raise QamError("metrics.csv is damaged: it has rows without a seed")
    return [np.flatnonzero(names == name) for name in np.unique(names)]


def _offline_updates(metrics: Mapping[str, np.ndarray]) -> int:
    """Updates before the online phase, whose every run is evaluated and logged at their end."""
    step, phase = metrics.get("step", metrics["update"]), metrics.get("phase")
    return int(np.max(step if phase is None else step[phase != 1], initial=0))


def _points(metrics: Mapping[str, np.ndarray], rows: np.ndarray, offline_updates: int) -> Points:
    """A member's evaluations; of rows for the same step, which a run can leave that was continued, the last counts."""
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
    told = np.isfinite(success) | np.isfinite(outcome[1])
    last = {place: i for i, place in enumerate(zip(offline, online, strict=True)) if told[i]}
    kept = [i for _, i in sorted(last.items())]
    columns = (offline.astype(np.int64), online.astype(np.int64), metrics["update"][rows], *outcome)
    return Points(*(column[kept] for column in columns))


def _from_summary(run: Run, config: Mapping[str, Any], summary: Mapping[str, Any]) -> tuple[Member, ...]:
    """Each member's last evaluation, which is all that a run without metrics.csv has left."""
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


def _covers(summary: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether the summary is of all the steps asked for, and not of a run that is being made longer."""
    offline = config.get("init_from") or summary.get("offline_steps", summary.get("updates", 0)) >= _offline(config)
    return bool(offline) and summary.get("online_steps", 0) >= config.get("online_steps", 0)


def _offline(config: Mapping[str, Any]) -> int:
    return int(config.get("offline_steps", config.get("updates", 0)))


def _remaining(config: Mapping[str, Any]) -> str:
    online = config.get("online_steps", 0)
    offline = [] if config.get("init_from") else [f"{_offline(config):,} updates"]
    return "it was to make " + " and ".join([*offline, *([f"{online:,} online steps"] if online else [])])


def _reached(members: Sequence[Member]) -> str:
    """How far the member that came least far was evaluated."""
    offline, online = min(member.points.steps[-1] for member in members)
    return f"online step {online:,}" if online else f"update {offline:,}"


def _address(member: Member, config: Mapping[str, Any]) -> str:
    """ "seed=2,lr=3", with the numbers that its run's members differ in."""
    names = [name for name in dict(member.cell.settings) if name.startswith("algo.")]
    own = set(config.get("population") or ()) | {k for k, v in config["algo"].items() if isinstance(v, list)}
    settings = dict(member.cell.settings)
    parts = [f"{name[5:]}={settings[name]:g}" for name in names if name[5:] in own and isinstance(settings[name], float)]
    return ",".join([f"seed={member.seed}", *parts])
