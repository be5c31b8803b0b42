"""Read the status, settings and evaluations of one run directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml  # type: ignore[import-untyped]

from qam_torch.report.evaluations import STEP, evaluations_of, members_of
from qam_torch.report.settings import Cell, Place, cell_of, place_of
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.rundir.paths import RunPaths
from qam_torch.types import QamError

__all__ = ["Run", "read_run"]

FINISHED, UNFINISHED, BROKEN = "finished", "unfinished", "broken"


@dataclass(frozen=True)
class Run:
    """A run directory.

    Attributes:
        name: name in the report.
        path: the run directory.
        status: finished | unfinished | broken | left out.
        why: reasons for the status and other remarks; empty if there are none.
        place: domain and task.
        method: algo=NAME.
        seeds: configured seeds, each once.
        reached: the last evaluated step, as text.
        home: `run_dir` of the configuration, to which records of sweeps refer.
        evaluations: table of `evaluations_of`, empty for a broken run. Added columns: name (the member's address, such
            as "seed=2,lr=3"), run (name of the run), experiment (experiment=NAME, or None), env (dataset or
            environment), domain, task, place (name of domain and task), method, episodes (per evaluation).
        cells: settings of each member, by its index.
    """

    name: str
    path: Path
    status: str = BROKEN
    why: str = ""
    place: Place | None = None
    method: str = ""
    seeds: tuple[int, ...] = ()
    reached: str = ""
    home: str = ""
    evaluations: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False, compare=False)
    cells: Mapping[int, Cell] = field(default_factory=dict, repr=False)

    def with_reason(self, why: str, status: str | None = None) -> Run:
        """A copy with one more remark, and optionally another status."""
        return replace(self, status=status or self.status, why="; ".join(filter(None, [self.why, why])))


def read_run(name: str, path: Path) -> Run:
    """Read a run directory. If its content is damaged, the run gets the status broken; nothing is raised."""
    run = Run(name, path)
    try:
        config = _config(path)
        run = _with_settings(run, config)
        metrics = _metrics(path)
        summary, damage = _summary(path)
        evaluations = evaluations_of(metrics, summary)
    except QamError as error:
        return run.with_reason(str(error))
    if evaluations.empty:
        failure = _failure(path)
        return run.with_reason(f"it {failure}" if failure else "it has no evaluation")
    run = _with_members(run, config, evaluations)
    if summary is None or not _is_complete(summary, config):
        run = replace(run, status=UNFINISHED).with_reason(damage or _failure(path) or _remaining(config))
    else:
        run = replace(run, status=FINISHED).with_reason(damage)
    diverged = members_of(run.evaluations).dropna(subset="diverged")
    reasons = [
        f"{name} diverged at update {int(update):,}"
        for name, update in zip(diverged.name, diverged.diverged, strict=True)
    ]
    return run.with_reason(f"{', '.join(reasons)}: evaluated with its last parameters") if reasons else run


# The files


def _config(path: Path) -> dict[str, Any]:
    try:
        if not any(path.iterdir()):
            raise QamError("the directory is empty: the run ended before it began")
        text = RunPaths(path).config.read_text(encoding="utf-8")
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
    """metrics.csv without the training metrics; None if there is no file."""
    if not RunPaths(path).metrics.exists():
        return None
    try:
        return read_metrics(RunPaths(path).metrics, training=False)
    except QamError as error:
        raise QamError(str(error).replace(f"{path}/", "")) from None


def _summary(path: Path) -> tuple[dict[str, Any] | None, str]:
    """summary.json, or None and the reason why it cannot be used."""
    if not RunPaths(path).summary.exists():
        return None, ""
    try:
        summary = json.loads(RunPaths(path).summary.read_text(encoding="utf-8"))
        if isinstance(summary, dict) and isinstance(summary.get("final"), dict):
            return summary, ""
    except (OSError, ValueError):
        pass
    return None, "its summary.json is damaged"


def _failure(path: Path) -> str:
    try:
        words = " ".join(RunPaths(path).failure.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError):
        return ""
    return f"failed: {words.partition('; last good checkpoint')[0]}"


# Their content


def _with_settings(run: Run, config: Mapping[str, Any]) -> Run:
    return replace(
        run,
        place=place_of(config),
        method=str(config["algo_name"]),
        seeds=tuple(config.get("seeds") or [config.get("seed", 0)]),
        home=str(config.get("run_dir", "")).replace("//", "/"),
    )


def _with_members(run: Run, config: Mapping[str, Any], rows: pd.DataFrame) -> Run:
    last = members_of(rows).set_index("member")
    differing = last.filter(regex=r"^own\.").rename(columns=lambda name: name.removeprefix("own.")).to_dict("index")
    names = {
        i: ",".join([f"seed={last.seed[i]}", *(f"{key}={value:g}" for key, value in differing[i].items())])
        for i in differing
    }
    offline, online = min(last[STEP].itertuples(index=False, name=None))  # the member with the fewest steps
    experiment, _, rest = str(config.get("run_name", "")).partition("/")
    place = place_of(config)
    rows = rows.drop(columns=rows.filter(like="own.")).assign(
        name=rows.member.map(names), run=run.name, domain=place.domain, task=place.task, place=place.name,
        experiment=experiment if rest.startswith(str(config["env_name"])) else None,
        env=config["env"].get("dataset") or place.domain, method=run.method, episodes=config.get("eval_episodes"),
    )  # fmt: skip
    reached = f"online step {online:,}" if online else f"update {offline:,}"
    cells = {int(i): cell_of(config, values) for i, values in differing.items()}
    return replace(run, reached=reached, evaluations=rows, cells=cells)


def _is_complete(summary: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether the summary covers all configured steps, which is false while a finished run is being extended."""
    offline = config.get("init_from") or summary.get("offline_steps", summary.get("updates", 0)) >= _offline(config)
    return bool(offline) and summary.get("online_steps", 0) >= config.get("online_steps", 0)


def _offline(config: Mapping[str, Any]) -> int:
    return int(config.get("offline_steps", config.get("updates", 0)))


def _remaining(config: Mapping[str, Any]) -> str:
    online = config.get("online_steps", 0)
    offline = [] if config.get("init_from") else [f"{_offline(config):,} updates"]
    return "planned: " + " and ".join([*offline, *([f"{online:,} online steps"] if online else [])])
