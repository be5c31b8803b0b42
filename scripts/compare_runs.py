"""Plot several runs together: success and critic loss, mean over seeds and the range of all seeds.

python scripts/compare_runs.py RUN [RUN ...] PICTURE.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from qam_torch.plotting.step_axis import by_seed, count_steps, counted
from qam_torch.plotting.style import BLUE, GREEN, ORANGE, VERMILION, save_figure, styled
from qam_torch.rundir.metrics_file import read_metrics

PANELS = {"evaluation/success": "success rate", "critic/loss": "critic loss"}


@styled
def compared(runs: list[Path]) -> Figure:
    """One panel per metric, one color per run."""
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (metric, label) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for run, color in zip(runs, (BLUE, ORANGE, GREEN, VERMILION), strict=False):
            metrics = read_metrics(run / "metrics.csv")
            steps, values = by_seed(metrics, metric)
            axes.fill_between(steps, np.nanmin(values, 1), np.nanmax(values, 1), color=color, alpha=0.18, linewidth=0)
            axes.plot(steps, np.nanmean(values, 1), color=color, label=run.name)
        count_steps(axes, metrics)
        axes.set(xlabel=counted(metrics), ylabel=label)
        if metric == "critic/loss":
            axes.set_yscale("log")
    axes.legend()
    return figure


def main() -> None:
    """Draw."""
    *runs, picture = map(Path, sys.argv[1:])
    if not runs:
        sys.exit("give the directories of runs, and the name of the picture")
    save_figure(compared(runs), picture)


if __name__ == "__main__":
    main()
