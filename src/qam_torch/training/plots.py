"""Save the plots of a run. Each plot is a function from the run's data to a figure."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from qam_torch.plotting.evaluation_curves import metrics_figure, return_figure, success_figure
from qam_torch.plotting.mazes import trajectories_figure
from qam_torch.plotting.style import save_figure
from qam_torch.plotting.training_curves import losses_figure
from qam_torch.rollout.evaluation import Evaluation
from qam_torch.types import MazeLayout, QamError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PLOTS", "Plot", "RunData", "save_plots"]


class RunData(NamedTuple):
    """The data of a finished run, from which plots are drawn.

    Attributes:
        title: method, environment and task.
        metrics: columns of metrics.csv, see `rundir.metrics_file.read_metrics`; empty if the run does not write it.
        episodes: number of episodes per member in each evaluation.
        members: name of each member.
        cells: hyperparameters of each member as text. The text is equal for members that differ only in their seeds.
        final: evaluation of the trained policy, with trajectories in mazes.
        behavior: evaluation of the behavior flow alone; None if it was not evaluated.
        layout: layout of the maze; None in other environments.
    """

    title: str
    metrics: Mapping[str, np.ndarray]
    episodes: int
    members: Sequence[str]
    cells: Sequence[str]
    final: Evaluation
    behavior: Evaluation | None = None
    layout: MazeLayout | None = None


Plot = Callable[[RunData], "Figure | None"]
"""Function that draws a plot of a run, saved as plots/NAME.png. NAME is the name of the function.

It returns None if there is nothing to draw.
"""


def success(run: RunData) -> Figure | None:
    """Draw the success rate over steps, if the environment reports success."""
    if not run.metrics or run.final.success is None:
        return None
    solved, evaluated = run.metrics["evaluation/success"], np.isfinite(run.metrics["evaluation/return"])
    # Evaluations before the first reported success have no value, so their success rate is 0.
    metrics = {**run.metrics, "evaluation/success": np.where(evaluated & np.isnan(solved), 0.0, solved)}
    rate = None
    if run.behavior is not None and run.behavior.success is not None:
        interval = None if len(set(run.cells)) > 1 else run.behavior.seeds_interval()
        rate = (float(run.behavior.success_rate().mean()), *(interval or ()))
    return success_figure(metrics, run.episodes, behavior=rate, title=run.title, cells=run.cells)


def return_(run: RunData) -> Figure | None:
    """Draw the return over steps, if the environment does not report success."""
    if not run.metrics or run.final.success is not None:
        return None
    level = None if run.behavior is None else float(run.behavior.returns.mean())
    return return_figure(run.metrics, run.episodes, behavior=level, title=run.title, cells=run.cells)


def evaluation_metrics(run: RunData) -> Figure | None:
    """Draw the custom evaluation metrics over steps, in one panel each."""
    names = [name for name in run.final.custom() if f"evaluation/{name}" in run.metrics]
    return metrics_figure(run.metrics, names, run.episodes, title=run.title, cells=run.cells)


def losses(run: RunData) -> Figure | None:
    """Draw the training metrics over steps, in panels."""
    return losses_figure(run.metrics, title=run.title) if run.metrics else None


def trajectories(run: RunData) -> Figure | None:
    """Draw the trajectories of the first member's final evaluation, in mazes."""
    final, behavior = run.final, run.behavior
    if run.layout is None or final.trajectories is None or final.success is None:
        return None
    compare = None
    if behavior is not None and behavior.trajectories is not None and behavior.success is not None:
        compare = (list(behavior.trajectories), behavior.success[0], "behavior flow alone")
    title = run.title if len(run.members) == 1 else f"{run.title}, {run.members[0]}"
    return trajectories_figure(run.layout, list(final.trajectories), final.success[0], title, compare)


PLOTS: list[Plot] = [success, return_, evaluation_metrics, losses, trajectories]
"""The plots of every run."""


def save_plots(folder: Path, run: RunData, plots: Sequence[Plot] = ()) -> list[str]:
    """Draw and save the plots of every run, then the custom plots.

    If a custom plot raises an error or does not return a figure, the error is printed on standard error and the plot
    is left out.

    Args:
        folder: directory for the pictures. It is made if it does not exist.
        run: the run's data.
        plots: custom plots.

    Returns:
        Paths of all pictures in the folder, relative to the run directory, sorted.

    Raises:
        QamError: a picture cannot be written.
    """
    folder.mkdir(exist_ok=True)
    for plot in PLOTS:
        save_figure(plot(run), folder / f"{plot_name(plot)}.png")
    for plot in plots:
        try:
            save_figure(plot(run), folder / f"{plot_name(plot)}.png")
        except QamError:
            raise
        except Exception as error:
            print(f"plot {plot_name(plot)} is left out ({type(error).__name__}: {error})", file=sys.stderr)
    return sorted(f"{folder.name}/{path.name}" for path in folder.glob("*.png"))


def plot_name(plot: Plot) -> str:
    """Return the name of a plot: the name of its function, without trailing underscores.

    Raises:
        QamError: the plot has no name that is an identifier, e.g. because it is a lambda.
    """
    name = getattr(plot, "__name__", "").rstrip("_")
    if not name.isidentifier():
        raise QamError(f"plot {plot!r} has no name: define it as a function with `def`")
    return name
