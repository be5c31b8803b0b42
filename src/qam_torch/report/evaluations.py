"""Read a run's evaluations into a table with one row per evaluation of each member."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from qam_torch.rundir.metrics_file import EVALUATION_COLUMNS
from qam_torch.types import QamError

__all__ = ["STEP", "custom_metrics", "evaluations_of", "members_of"]

STEP = ["offline_updates", "online_steps"]
"""Columns that define a step: updates of the offline phase, and environment steps of the online phase (0 offline)."""

OUTCOMES = ["success", "return", "length", "seconds"]


def evaluations_of(metrics: Mapping[str, np.ndarray] | None, summary: Mapping[str, Any] | None) -> pd.DataFrame:
    """Read every evaluation from metrics.csv, or the last one from the summary if there is no metrics.csv.

    Args:
        metrics: content of the run's metrics.csv; None if there is no such file.
        summary: content of the run's summary.json; None if there is no such file.

    Returns:
        Rows sorted by member and step. A resumed run can leave several rows for one step; the last one is kept. The
        columns are member (index of the member), seed, the columns STEP, step (the sum of STEP), phase (offline or
        online), updates, the columns OUTCOMES (nan if the environment or an old file has no value), custom metrics (see
        `custom_metrics`), diverged (update at which the member was frozen, or nan), and one column own.NAME for each
        hyperparameter in which members differ.

    Raises:
        QamError: the files contain impossible values.
    """
    if metrics is None and summary is None:
        return pd.DataFrame()
    rows = _from_summary(summary or {}) if metrics is None else _from_metrics(metrics)
    rows = rows.dropna(subset=["success", "return"], how="all").drop_duplicates(["member", *STEP], keep="last")
    rows = rows.sort_values(["member", *STEP])
    return rows.assign(
        phase=np.where(rows.online_steps > 0, "online", "offline"),
        step=rows.offline_updates + rows.online_steps,
    )


def members_of(evaluations: pd.DataFrame) -> pd.DataFrame:
    """Select the last evaluation of each member of each run, and keep the order of the rows."""
    return evaluations.groupby([name for name in ("run", "member") if name in evaluations], sort=False).tail(1)


def custom_metrics(columns: Iterable[str]) -> list[str]:
    """Select the columns of custom evaluation metrics, named evaluation/NAME as in metrics.csv, in order."""
    return [name for name in columns if name.startswith("evaluation/") and name not in EVALUATION_COLUMNS]


def _from_metrics(metrics: Mapping[str, np.ndarray]) -> pd.DataFrame:
    table = pd.DataFrame(metrics)
    step = table.get("step", table["update"])
    who = table.get("member", table["seed"])  # a file without the members' indices identifies members by seed
    if not np.isfinite([who, step, table["seed"]]).all():
        raise QamError("metrics.csv is damaged: it has rows without a seed or a step")
    online = table.get("phase", step * 0) == 1
    begun = step[~online].max() if not online.all() else 0  # every run logs an evaluation when its online phase begins
    names = list(table)
    rows = pd.DataFrame(
        {
            "member": who.groupby(who).ngroup(),
            "seed": table["seed"].astype(int),
            "offline_updates": step.where(~online, begun).astype(int),
            "online_steps": (step - begun).where(online, 0).astype(int),
            "updates": table["update"],
            **{name: table.get(f"evaluation/{name}", np.nan) for name in OUTCOMES},
            **{name: table[name] for name in custom_metrics(names)},
            "diverged": table.get("diverged", np.nan),
            **{f"own.{name}": table[name] for name in names[names.index("seed") + 1 : names.index("seconds")]},
        }
    )
    if np.isinf(rows["return"]).any() or not rows.success.dropna().between(0, 1).all():
        raise QamError("metrics.csv is damaged: it has a success outside of [0, 1], or an infinite return")
    return rows.assign(diverged=rows.groupby("member").diverged.transform("max").replace(0, np.nan))


def _from_summary(summary: Mapping[str, Any]) -> pd.DataFrame:
    final, members = summary["final"], summary.get("members") or [{"seed": seed} for seed in summary.get("seeds", [])]
    updates = summary.get("offline_steps", summary.get("updates"))
    outcomes = {name: final.get(f"{name}_by_seed", [np.nan] * len(members)) for name in ("success", "return")}
    if updates is None or any(len(column) != len(members) for column in outcomes.values()):
        raise QamError("it has no metrics.csv, and its summary.json has no results per seed")
    steps = dict(zip(STEP, (updates, summary.get("online_steps", 0)), strict=True))
    columns = {"member": range(len(members)), **steps, "updates": summary.get("updates", np.nan), **outcomes}
    known = pd.DataFrame(members, columns=["seed", "diverged"])
    own = pd.DataFrame(members).drop(columns=["name", "seed", "diverged"], errors="ignore").add_prefix("own.")
    return pd.DataFrame({**columns, "length": np.nan, "seconds": np.nan}).join([known, own])
