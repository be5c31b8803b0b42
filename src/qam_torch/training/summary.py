"""The end of a run: its final evaluation, pictures, summary.json, and a short table on the terminal."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.members import address_of
from qam_torch.plotting.evaluation_curves import plot_return, plot_success
from qam_torch.plotting.mazes import plot_trajectories
from qam_torch.plotting.training_curves import plot_losses
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.rundir.metrics_file import read_metrics
from qam_torch.rundir.versions import versions
from qam_torch.suites.environments import title
from qam_torch.suites.inputs import Data
from qam_torch.system.files import write_json
from qam_torch.training.callbacks.run_events import RunCallback
from qam_torch.training.evaluator import Evaluator

__all__ = ["conclude", "show_table"]


def conclude(
    config: DictConfig,
    directory: Path,
    data: Data,
    algorithm: Algorithm,
    callback: RunCallback,
    evaluator: Evaluator,
) -> dict[str, Any]:
    """Final evaluation with trajectories, the behaviour flow beside it, plots and summary.json."""
    maze = data.layout is not None
    clock = callback.clock
    # The last training evaluation again, with the same noise and episodes, where its trajectories are to be drawn.
    latest = callback.latest if callback.latest is not None and not maze else None
    final = latest or evaluator(algorithm, clock.steps, record_positions=maze)
    behavior = None
    if config.compare_behavior and algorithm.behavior_policy is not None:
        behavior = evaluator(algorithm, clock.steps, "behavior_policy", record_positions=maze)
    plots = _plots(config, directory, data, algorithm, final, behavior)
    summary = {
        "algorithm": config.algo_name,
        "environment": data.environment["env_name"],
        "task": data.environment.get("task"),
        "reward": data.environment.get("reward"),
        "seeds": list(algorithm.seeds),
        "members": _members(algorithm),
        "updates": clock.updates(clock.steps),
        "offline_steps": clock.offline_steps,
        "online_steps": clock.online_steps,
        "wall_seconds": round(callback.seconds, 1),
        "episodes": config.eval_episodes,
        "final": _outcome(final),
        "cells": _cells(algorithm, final),
        "best": callback.best,
        "after_offline": callback.after_offline if clock.online_steps else None,
        "behavior": None if behavior is None else _outcome(behavior),
        "data": data.source,
        "plots": plots,
        "versions": versions(),
    }
    write_json(directory / "summary.json", summary)
    return summary


def _values(algorithm: Algorithm) -> list[dict[str, float]]:
    """Each member's own numbers, its cell of the grid."""
    return [algorithm.values_of(p) for p in range(algorithm.members)]


def _members(algorithm: Algorithm) -> list[dict[str, Any]]:
    """Name, seed and numbers of each member, and the update at which it diverged if it did."""
    found = []
    for p, at in enumerate(algorithm.divergence.diverged_at()):
        member = {"name": algorithm.name_of(p), "seed": algorithm.seeds[p], **algorithm.values_of(p)}
        found.append(member if at is None else {**member, "diverged": at})
    return found


def _cells(algorithm: Algorithm, evaluation: Evaluation) -> list[dict[str, Any]]:
    """What came out for each combination of numbers, over its seeds; nothing where no numbers differ."""
    cells: dict[str, list[int]] = {}
    for p, values in enumerate(_values(algorithm)):
        cells.setdefault(address_of(values), []).append(p)
    if "" in cells:
        return []
    return [
        {
            "values": algorithm.values_of(own[0]),
            "seeds": [algorithm.seeds[p] for p in own],
            **_outcome(evaluation.of(own)),
        }
        for own in cells.values()
    ]


def _outcome(evaluation: Evaluation) -> dict[str, Any]:
    """What came out; without the keys of success where the environment never says."""
    outcome = {
        "return": float(evaluation.returns.mean()),
        "return_by_seed": evaluation.returns.mean(axis=1).tolist(),
        "return_range": [float(evaluation.returns.min()), float(evaluation.returns.max())],
        "length": float(evaluation.lengths.mean()),
    }
    if evaluation.success is None:
        return outcome
    low, high = evaluation.pooled_interval()
    return {
        "success": float(evaluation.success_rate().mean()),
        "success_95": [low, high],
        "success_by_seed": evaluation.success_rate().tolist(),
        "success_95_by_seed": evaluation.interval().tolist(),
        **outcome,
    }


def _plots(
    config: DictConfig,
    directory: Path,
    data: Data,
    algorithm: Algorithm,
    final: Evaluation,
    behavior: Evaluation | None,
) -> list[str]:
    heading = f"{config.algo_name}, {title(data.environment)}"
    folder = directory / "plots"
    folder.mkdir(exist_ok=True)
    if config.logger.csv:
        metrics = read_metrics(directory / "metrics.csv")
        shared: dict[str, Any] = {"title": heading, "cells": [address_of(cell) for cell in _values(algorithm)]}
        if final.success is None:
            level = None if behavior is None else float(behavior.returns.mean())
            plot_return(metrics, config.eval_episodes, folder / "return.png", behavior=level, **shared)
        else:
            rate = None
            if behavior is not None and behavior.success is not None:
                rate = (float(behavior.success_rate().mean()), *behavior.pooled_interval())
            plot_success(metrics, config.eval_episodes, folder / "success.png", behavior=rate, **shared)
        plot_losses(metrics, folder / "losses.png", title=heading)
    if data.layout is not None and final.trajectories is not None and final.success is not None:
        compare = None
        if behavior is not None and behavior.trajectories is not None and behavior.success is not None:
            compare = (list(behavior.trajectories), behavior.success[0], "behaviour flow alone")
        plot_trajectories(
            data.layout,
            list(final.trajectories),
            final.success[0],
            folder / "trajectories.png",
            title=heading if algorithm.members == 1 else f"{heading}, {algorithm.name_of(0)}",
            compare=compare,
        )
    return sorted(str(path.relative_to(directory)) for path in folder.glob("*.png"))


def show_table(directory: Path, summary: dict[str, Any]) -> None:
    """A few lines at the end that say what came out and where everything is."""

    def outcome(part: dict[str, Any]) -> str:
        if "success" in part:
            return "{:.2f} [{:.2f}, {:.2f}]".format(part["success"], *part["success_95"])
        return "{:.1f} [{:.1f}, {:.1f}]".format(part["return"], *part["return_range"])

    final = summary["final"]
    what, digits, span = ("success", 2, "95 % interval") if "success" in final else ("return", 1, "mean and range")
    rows = [(what, f"{outcome(final)}  ({span}, {summary['episodes']} episodes a seed)")]

    def by_seed(part: dict[str, Any]) -> str:
        values = zip(part["seeds"], part[f"{what}_by_seed"], strict=True)
        return "  ".join(f"{seed}: {value:.{digits}f}" for seed, value in values)

    if summary["cells"]:
        rows += [(address_of(cell["values"]), f"{outcome(cell)}  {by_seed(cell)}") for cell in summary["cells"]]
    elif len(summary["seeds"]) > 1:
        rows.append(("by seed", by_seed({**final, "seeds": summary["seeds"]})))
    lost = [member for member in summary["members"] if "diverged" in member]
    rows += [("diverged", f"{member['name']} at update {member['diverged']:,}") for member in lost]
    if summary["after_offline"]:
        rows.append(("after offline", f"{summary['after_offline'][what]:.{digits}f}"))
    if summary["behavior"] is not None:
        rows.append(("behaviour flow", outcome(summary["behavior"])))
    rows += [
        ("updates", f"{summary['updates']:,} in {summary['wall_seconds']:,.0f} s"),
        *([("online steps", f"{summary['online_steps']:,} a seed")] if summary["online_steps"] else []),
        ("results", f"{directory}/"),
        ("", "summary.json  metrics.csv  config.yaml  versions.json  tensorboard/"),
        ("", "checkpoints/{last,best}.ckpt  " + "  ".join(summary["plots"])),
        ("watch again", f"qam-eval {shlex.quote(f'ckpt={directory}/checkpoints/last.ckpt')} video=episodes.mp4"),
    ]
    width = max(15, *(len(name) for name, _ in rows))
    print()
    for name, value in rows:
        print(f"  {name:{width}} {value}")
