"""The pictures that a run leaves in its directory."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.members import address_of
from qam_torch.plotting.evaluation_curves import return_figure, success_figure
from qam_torch.plotting.mazes import trajectories_figure
from qam_torch.plotting.style import save_figure
from qam_torch.plotting.training_curves import losses_figure
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.rundir.paths import RunPaths
from qam_torch.suites import TaskData, suite_of

__all__ = ["save_plots"]


def save_plots(
    config: DictConfig,
    paths: RunPaths,
    data: TaskData,
    algorithm: Algorithm,
    final: Evaluation,
    behavior: Evaluation | None,
) -> list[str]:
    """Save the curves of metrics.csv, and in mazes the paths of the final evaluation.

    Args:
        config: of the run.
        paths: of the run directory.
        data: of the run.
        algorithm: as trained.
        final: evaluation of the trained policy.
        behavior: evaluation of the behavior flow alone, if there is one.

    Returns:
        Names of all pictures in the directory, relative to it.
    """
    heading = f"{config.algo_name}, {suite_of(data.environment).title(data.environment)}"
    folder = paths.plots
    folder.mkdir(exist_ok=True)
    if config.logger.csv:
        metrics = read_metrics(paths.metrics)
        cells = [address_of(algorithm.values_of(p)) for p in range(algorithm.members)]
        shared: dict[str, Any] = {"title": heading, "cells": cells}
        if final.success is None:
            level = None if behavior is None else float(behavior.returns.mean())
            figure = return_figure(metrics, config.eval_episodes, behavior=level, **shared)
            save_figure(figure, folder / "return.png")
        else:
            rate = None
            if behavior is not None and behavior.success is not None:
                rate = (float(behavior.success_rate().mean()), *behavior.pooled_interval())
            figure = success_figure(metrics, config.eval_episodes, behavior=rate, **shared)
            save_figure(figure, folder / "success.png")
        save_figure(losses_figure(metrics, title=heading), folder / "losses.png")
    if data.layout is not None and final.trajectories is not None and final.success is not None:
        compare = None
        if behavior is not None and behavior.trajectories is not None and behavior.success is not None:
            compare = (list(behavior.trajectories), behavior.success[0], "behaviour flow alone")
        title = heading if algorithm.members == 1 else f"{heading}, {algorithm.name_of(0)}"
        paths_figure = trajectories_figure(data.layout, list(final.trajectories), final.success[0], title, compare)
        save_figure(paths_figure, folder / "trajectories.png")
    return sorted(str(path.relative_to(paths.directory)) for path in folder.glob("*.png"))
