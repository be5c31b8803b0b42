"""The runs of a small benchmark for a workstation, and the runs of its tuning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from omegaconf import OmegaConf

from qam_torch.config.composition import compose
from qam_torch.config.literals import quoted
from qam_torch.config.overrides import jobs, parsed
from qam_torch.data.generation.generate import Progress, generate
from qam_torch.reproduction.arguments import chosen, require_neutral
from qam_torch.rundir.paths import RunPaths
from qam_torch.system.files import absolute
from qam_torch.training.finished_run import finished_run
from qam_torch.types import QamError

__all__ = ["ENVIRONMENTS", "METHODS", "SmallPlan", "SmallRun"]

METHODS = ("qam", "qam_e", "qam_f", "fql", "ifql", "rebrac", "cgql", "rql")
ENVIRONMENTS = ("pointmaze-medium-navigate", "cube-single-play", "puzzle-3x3-play")


class SmallRun(NamedTuple):
    """A run of one method in one environment, with a population of seeds or of values of a hyperparameter.

    Attributes:
        values: resolved configuration of the run, as plain values.
    """

    values: Mapping[str, Any]

    @property
    def method(self) -> str:
        """Name of the method as in algo=NAME."""
        return str(self.values["algo_name"])

    @property
    def environment(self) -> str:
        """Name of the environment as in env=NAME."""
        return str(self.values["env_name"])

    @property
    def data(self) -> Path:
        """Path of the data file."""
        return absolute(self.values["data"]["path"])

    @property
    def updates(self) -> int:
        """Number of gradient updates of each member."""
        return int(self.values["offline_steps"])

    @property
    def paths(self) -> RunPaths:
        """Paths of the run's files."""
        return RunPaths(absolute(self.values["run_dir"]))

    def summary(self) -> dict[str, Any] | None:
        """Read summary.json if the run is finished.

        Returns:
            The content of summary.json, or None if the run is not finished.

        Raises:
            QamError: the finished run had other settings, or its files are damaged.
        """
        return finished_run(self.paths, {**self.values, "skip_completed": True})


class SmallPlan(NamedTuple):
    """The planned runs of the benchmark: every chosen method in every chosen environment.

    Attributes:
        methods: names of the methods, as in algo=NAME.
        environments: names of the environments, as in env=NAME.
        tune: whether these are the runs of the tuning.
        directory: directory of the data files.
        neutral: additional overrides that do not change any result.
    """

    methods: tuple[str, ...]
    environments: tuple[str, ...]
    tune: bool
    directory: Path
    neutral: tuple[str, ...]

    @classmethod
    def of(
        cls,
        methods: Sequence[str],
        environments: Sequence[str],
        tune: bool,
        directory: Path,
        overrides: Sequence[str],
    ) -> SmallPlan:
        """Check the arguments, and build a plan. The name "all" selects all methods or environments.

        Raises:
            QamError: a name or an override is outside the benchmark.
        """
        require_neutral(overrides, "the benchmark's runs")
        for word in overrides:
            if parsed(word).key_or_group.startswith("data."):
                raise QamError(f"{word} is not taken here: give --directory DIR, missing data are generated")
        where = "in the benchmark"
        return cls(
            chosen("--methods", methods, METHODS, where),
            chosen("--environments", environments, ENVIRONMENTS, where),
            tune,
            absolute(directory),
            tuple(overrides),
        )

    def command_overrides(self) -> list[str]:
        """Return the overrides for `qam-train -m`. Rerunning the same command completes unfinished runs."""
        own = {parsed(word).key_or_group for word in self.neutral}
        defaults = {"hydra/launcher": "qam_joblib", "skip_completed": "true"}
        return [
            f"experiment={'small_tuning' if self.tune else 'small'}",
            *(f"{key}={value}" for key, value in defaults.items() if key not in own),
            f"data.directory={quoted(str(self.directory))}",
            *self.neutral,
            f"env={','.join(self.environments)}",
            f"algo={','.join(self.methods)}",
        ]

    def runs(self) -> list[SmallRun]:
        """Return the runs of the command with `command_overrides`, in the same order."""
        words = [word for word in self.command_overrides() if not parsed(word).key_or_group.startswith("hydra")]
        configs = [OmegaConf.to_container(compose(run)) for run in jobs(words)]
        return [SmallRun(cast("dict[str, Any]", config)) for config in configs]


def summary_lines(plan: SmallPlan, runs: Sequence[SmallRun]) -> list[str]:
    """Describe the runs, how many of them are finished, and how many of their data files exist.

    Args:
        plan: the planned benchmark.
        runs: the runs of the plan.

    Returns:
        One line per fact.
    """
    values, files = runs[0].values, dict.fromkeys(run.data for run in runs)
    seeds = ", ".join(map(str, values["seeds"] or [values["seed"]]))
    members = f"three values with seed {seeds}" if plan.tune else f"seeds {seeds}"
    there = sum(file.is_file() for file in files)
    finished = sum(run.summary() is not None for run in runs)
    rows = [
        ("methods", ", ".join(plan.methods)),
        ("environments", ", ".join(f"{name} (task {task})" for name, task in _tasks(runs).items())),
        ("runs", f"{len(plan.methods)} x {len(plan.environments)} = {len(runs)}, each a population: {members}"),
        ("updates", f"{runs[0].updates:,} per run, {sum(run.updates for run in runs):,} in total"),
        ("data", f"{there} of {len(files)} files are in {plan.directory}; missing ones are generated"),
        ("finished", f"{finished} of {len(runs)} runs"),
    ]
    return [f"  {name:12} {value}" for name, value in rows]


def _tasks(runs: Sequence[SmallRun]) -> dict[str, int]:
    return {run.environment: run.values["task"] for run in runs}


def make_data(runs: Sequence[SmallRun], progress: Progress | None = None) -> None:
    """Generate the data files that do not exist.

    Args:
        runs: the runs that use the data.
        progress: callback that receives the progress, see `generate`.
    """
    for run in {run.data: run for run in runs}.values():
        data = run.values["data"]
        transitions, seed = data["generate_transitions"], data["seed"]
        generate(run.values["env"]["dataset"], run.data, transitions, seed, progress=progress, keep=True)


def hours_line(runs: Sequence[SmallRun]) -> str:
    """Return a line with the number of finished runs and the sum of their wall times in hours."""
    seconds = [summary["wall_seconds"] for run in runs if (summary := run.summary()) is not None]
    return f"{len(seconds)} of {len(runs)} runs are finished; their times add up to {sum(seconds) / 3600:.2f} hours."
