"""Finish a run: final evaluation, plots and summary.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.members import address_of
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rundir.metrics_file import MetricsFile, read_metrics
from qam_torch.rundir.paths import RunPaths
from qam_torch.rundir.versions import versions
from qam_torch.suites import TaskData, suite_of
from qam_torch.system.files import write_json
from qam_torch.training.callbacks.evaluation import EvaluationCallback
from qam_torch.training.evaluator import Evaluator
from qam_torch.training.plots import Plot, RunData, save_plots
from qam_torch.training.schedule import Schedule
from qam_torch.training.wall_time import WallTime

__all__ = ["summarize"]


def summarize(
    name: str,
    paths: RunPaths,
    data: TaskData,
    algorithm: Algorithm,
    schedule: Schedule,
    step: int,
    evaluation: EvaluationCallback,
    evaluator: Evaluator,
    wall_time: WallTime,
    metrics: MetricsFile,
    compare_behavior: bool,
    plots: Sequence[Plot],
) -> dict[str, Any]:
    """Evaluate the trained policy and its behavior flow, save the plots, and write summary.json.

    Args:
        name: name of the method in the configuration.
        paths: paths of the run directory.
        data: the run's data.
        algorithm: the trained algorithm.
        schedule: the run's schedule.
        step: number of steps made. It is less than `schedule.steps` if a callback has stopped training.
        evaluation: the run's evaluation callback, which has the best and the latest outcome.
        evaluator: runs the episodes.
        wall_time: the run's wall time.
        metrics: metrics.csv.
        compare_behavior: whether to evaluate the behavior flow, if the method has one.
        plots: custom plots.

    Returns:
        The content of summary.json.
    """
    maze = data.layout is not None
    # In mazes, the last evaluation is repeated with the same noise and episodes to record its trajectories.
    latest = evaluation.latest if evaluation.evaluated_at == step and not maze else None
    final = latest or evaluator(algorithm, step, record_positions=maze)
    behavior = None
    if compare_behavior and algorithm.behavior_policy is not None:
        behavior = evaluator(algorithm, step, "behavior_policy", record_positions=maze)
    run = RunData(
        title=f"{name}, {suite_of(data.environment).title(data.environment)}",
        metrics={} if metrics.path is None else read_metrics(metrics.path),
        episodes=evaluator.episodes,
        members=[algorithm.name_of(p) for p in range(algorithm.members)],
        cells=[address_of(algorithm.values_of(p)) for p in range(algorithm.members)],
        final=final,
        behavior=behavior,
        layout=data.layout,
    )
    cells = _cells(algorithm, final)
    pictures = save_plots(paths.plots, run, plots)
    summary = {
        "algorithm": name,
        "environment": data.environment["env_name"],
        "task": data.environment.get("task"),
        "reward": data.environment.get("reward"),
        "seeds": list(algorithm.seeds),
        "members": _members(algorithm),
        "updates": schedule.updates(step),
        "offline_steps": min(step, schedule.offline_steps),
        "online_steps": schedule.online(step),
        "wall_seconds": round(wall_time.seconds, 1),
        "episodes": evaluator.episodes,
        "final": final.summary(grid=bool(cells)),
        "cells": cells,
        "best": evaluation.best,
        "after_offline": evaluation.after_offline if schedule.online_steps else None,
        "behavior": None if behavior is None else behavior.summary(grid=bool(cells)),
        "data": data.source,
        "plots": pictures,
        "versions": {**versions(algorithm.device), "capture": algorithm.capture_outcome},
    }
    write_json(paths.summary, summary)
    return summary


def _members(algorithm: Algorithm) -> list[dict[str, Any]]:
    """Return name, seed and hyperparameters of each member, and the update at which it diverged, if it did."""
    found = []
    for p, at in enumerate(algorithm.divergence.diverged_at()):
        member = {"name": algorithm.name_of(p), "seed": algorithm.seeds[p], **algorithm.values_of(p)}
        found.append(member if at is None else {**member, "diverged": at})
    return found


def _cells(algorithm: Algorithm, evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return the outcome of each cell of the grid over its seeds; empty if no hyperparameters differ."""
    cells: dict[str, list[int]] = {}
    for p in range(algorithm.members):
        cells.setdefault(address_of(algorithm.values_of(p)), []).append(p)
    if "" in cells:
        return []
    return [
        {
            "values": algorithm.values_of(own[0]),
            "seeds": [algorithm.seeds[p] for p in own],
            **evaluation.of(own).summary(),
        }
        for own in cells.values()
    ]
