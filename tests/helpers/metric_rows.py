"""Rows of metrics.csv, and what a figure of them shows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from qam_torch.rundir.metrics_file import read_metrics

TERMINAL = ["adjoint/terminal_mean", "adjoint/terminal_std", "adjoint/terminal_max"]
QAM = ["critic/loss", "critic/q_mean", "critic/q_max", "critic/q_min", "critic/target_mean", "critic/target_max"]
QAM = [*QAM, "critic/target_min", "behavior/loss", "adjoint/loss", *TERMINAL]
QAM = [*QAM, "gradient/norm"]
QAM_F = [*QAM, "one_step/distillation_loss", "one_step/q_loss"]
QAM_E = [*QAM, "edit/q_loss", "edit/entropy_loss", "edit/entropy", "edit/alpha_loss", "edit/alpha"]
EVALUATION = ["evaluation/success", "evaluation/return", "evaluation/length", "evaluation/seconds"]


def write_metrics(path: Path, training: list[str], rows: list[dict[str, float]]) -> Path:
    """A metrics.csv; what a row does not name is blank."""
    columns = ["update", "seed", "seconds", *training, *EVALUATION]
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def training_rows(names: list[str], updates: int, seeds: tuple[int, ...] = (1,)) -> list[dict[str, float]]:
    rng = np.random.default_rng(0)
    return [
        {"update": 10 * (u + 1), "seed": s, "seconds": u, **{name: rng.uniform(0.5, 20.0) for name in names}}
        for u in range(updates)
        for s in seeds
    ]


def evaluation_rows(rates: dict[int, list[float]], seeds: tuple[int, ...]) -> list[dict[str, float]]:
    return [
        {"update": update, "seed": seed, "evaluation/success": rate}
        for update, of_seeds in rates.items()
        for seed, rate in zip(seeds, of_seeds, strict=True)
    ]


def both_phases(offline: list[int], online: list[int], tmp_path: Path, trained: bool = True) -> dict[str, np.ndarray]:
    """An evaluation at each of these steps, and a loss, those of the offline phase only if it was `trained` in."""
    rows = [(step, "offline", "0.5" if trained else "") for step in offline] + [
        (step, "online", "0.5") for step in online
    ]
    lines = [f"{step},{phase},{step},1,{loss},0.75,-3" for step, phase, loss in rows]
    columns = "step,phase,update,seed,critic/loss,evaluation/success,evaluation/return"
    (tmp_path / "metrics.csv").write_text("\n".join([columns, *lines]) + "\n")
    return read_metrics(tmp_path / "metrics.csv")


def panels_of(figure: Figure) -> list[Any]:
    """The axes, without matplotlib's unions of everything that might be in them."""
    return list(figure.axes)


def labeled(figure: Figure, panel: int = 0) -> dict[str, Any]:
    handles, labels = panels_of(figure)[panel].get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def is_png(path: Path) -> bool:
    return path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
