"""Learning curves of the authors' code, and a type that also holds learning curves of this library.

learning_curves.csv contains results of the QAM code of Li & Levine (2026, JAX, on a CPU in float32). The runs used
generated data and the settings of conf/experiment/parity.yaml. The file has one row per method, dataset, seed and
evaluation; an evaluation has 50 episodes. The mean critic value is averaged over the last 20 updates before the
evaluation.
"""

from __future__ import annotations

import csv
from importlib import resources
from typing import NamedTuple

import numpy as np

__all__ = ["LearningCurves", "recorded_curves"]


class LearningCurves(NamedTuple):
    """Evaluations of several seeds, after the same numbers of updates for every seed.

    Attributes:
        seeds: (S,), the seeds.
        updates: (U,), number of gradient updates before each evaluation.
        success: (S, U), success rates in [0, 1].
        q_mean: (S, U), mean critic value of the batch.
    """

    seeds: np.ndarray
    updates: np.ndarray
    success: np.ndarray
    q_mean: np.ndarray


def recorded_curves(method: str, dataset: str) -> LearningCurves:
    """Load the recorded learning curves of the authors' code.

    Args:
        method: name of the method as in algo=NAME: "qam" or "qam_e".
        dataset: name of the dataset, e.g. "pointmaze-medium-navigate-v0".

    Returns:
        The curves of all recorded seeds.

    Raises:
        KeyError: no curves of this method on this dataset are recorded.
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
