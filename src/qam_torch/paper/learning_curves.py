"""Learning curves of the authors' code, and those of this library in the same form.

learning_curves.csv holds what the QAM code of Li & Levine (2026, JAX, on a CPU in float32) reached on generated data
with the settings of conf/experiment/parity.yaml: one row per method, dataset, seed and evaluation of 50 episodes. The
mean critic value is a mean over the last 20 updates before the evaluation.
"""

from __future__ import annotations

import csv
from importlib import resources
from typing import NamedTuple

import numpy as np

__all__ = ["LearningCurves", "recorded_curves"]


class LearningCurves(NamedTuple):
    """Evaluations of several seeds at the same updates.

    Attributes:
        seeds: (S,).
        updates: (U,), gradient updates before each evaluation.
        success: (S, U), success rates in [0, 1].
        q_mean: (S, U), mean critic value of the batch.
    """

    seeds: np.ndarray
    updates: np.ndarray
    success: np.ndarray
    q_mean: np.ndarray


def recorded_curves(method: str, dataset: str) -> LearningCurves:
    """The curves of the authors' code.

    Args:
        method: algo=NAME, "qam" or "qam_e".
        dataset: such as "pointmaze-medium-navigate-v0".

    Raises:
        KeyError: none are recorded.
    """
    text = resources.files("qam_torch.paper").joinpath("learning_curves.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(text.splitlines()) if (row["method"], row["dataset"]) == (method, dataset)]
    if not rows:
        raise KeyError(f"{method} on {dataset}")
    seeds = np.array(sorted({int(row["seed"]) for row in rows}))
    updates = np.array(sorted({int(row["update"]) for row in rows}))
    tables = {name: np.full((len(seeds), len(updates)), np.nan) for name in ("success", "q_mean")}
    for row in rows:
        place = np.searchsorted(seeds, int(row["seed"])), np.searchsorted(updates, int(row["update"]))
        for name, table in tables.items():
            table[place] = float(row[name])
    return LearningCurves(seeds, updates, **tables)
