"""Train runs with the settings and data of the recorded learning curves of the authors' code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qam_torch.config.composition import compose
from qam_torch.config.literals import quoted
from qam_torch.data.catalog import catalog_entry
from qam_torch.data.dataset_files import generated_path
from qam_torch.data.generation.generate import Progress, generate
from qam_torch.paper.learning_curves import LearningCurves
from qam_torch.plotting.step_axis import values_by_member
from qam_torch.run import fit
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.rundir.paths import RunPaths

__all__ = ["EPISODES", "RUNS", "ParityRun"]

TRANSITIONS = 200_000
DATA_SEED = 0
EPISODES = 50
LOG_EVERY = 10
AVERAGED = 100
"""Number of updates before an evaluation; the mean critic value is averaged over the logged ones among them."""


class ParityRun(NamedTuple):
    """A run of one population that is compared with recorded curves.

    Attributes:
        method: name of the method as in algo=NAME.
        environment: name of the environment as in env=NAME.
        seeds: number of seeds; the first seed is 0.
        updates: number of gradient updates.
    """

    method: str
    environment: str
    seeds: int
    updates: int

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return f"{self.environment}-v0"

    @property
    def name(self) -> str:
        """Name of the run, e.g. qam-cube-single-play."""
        return f"{self.method}-{self.environment}"

    def data(self, directory: Path, progress: Progress | None = None) -> Path:
        """Generate the data file unless it exists, and return its path."""
        path = generated_path(catalog_entry(self.dataset).name, directory, TRANSITIONS, DATA_SEED)
        generate(self.dataset, path, TRANSITIONS, DATA_SEED, progress=progress, keep=True)
        return path

    def overrides(self, data: Path, additional: Sequence[str] = ()) -> list[str]:
        """Return the overrides for `qam-train`. They continue an interrupted run and skip a finished one."""
        return [
            "experiment=parity",
            f"algo={self.method}",
            f"env={self.environment}",
            f"seeds=[{','.join(map(str, range(self.seeds)))}]",
            f"offline_steps={self.updates}",
            f"eval_every={self.updates // 4}",
            f"eval_episodes={EPISODES}",
            f"log_every={LOG_EVERY}",
            f"updates_per_step={LOG_EVERY}",
            "compare_behavior=false",
            "on_divergence=freeze",
            "skip_completed=true",
            f"data.path={quoted(str(data))}",
            f"run_name=parity/{self.environment}/{self.method}",
            *additional,
        ]

    def train(self, overrides: Sequence[str]) -> LearningCurves:
        """Train the run, and read its learning curves."""
        return read_curves(fit(compose(overrides)).directory)


RUNS = (
    ParityRun("qam", "pointmaze-medium-navigate", seeds=20, updates=10_000),
    ParityRun("qam_e", "pointmaze-medium-navigate", seeds=20, updates=10_000),
    ParityRun("qam", "cube-single-play", seeds=5, updates=20_000),
)


def read_curves(directory: Path) -> LearningCurves:
    """Read the learning curves of a finished run with a population of seeds."""
    metrics = read_metrics(RunPaths(directory).metrics)
    updates, success = values_by_member(metrics, "evaluation/success")
    logged, values = values_by_member(metrics, "critic/q_mean")
    means = [values[(logged > update - AVERAGED) & (logged <= update)].mean(0) for update in updates]
    return LearningCurves(np.unique(metrics["seed"]).astype(int), updates.astype(int), success.T, np.array(means).T)
