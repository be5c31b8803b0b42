"""Plot learning curves of this library and of the authors' code together."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from qam_torch.paper.learning_curves import LearningCurves
from qam_torch.plotting.style import BLUE, ORANGE, set_title, styled

__all__ = ["parity_figure"]


@styled
def parity_figure(ours: LearningCurves, theirs: LearningCurves, title: str | None = None) -> Figure:
    """Plot success rate and mean critic value over updates. Seeds are faint lines, and their mean is a strong line.

    Args:
        ours: curves of this library.
        theirs: curves of the authors' code.
        title: title of the figure.

    Returns:
        The figure, with one panel per measure.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, measure, label in zip(panels, ("success", "q_mean"), ("success rate", "mean critic value"), strict=True):
        for curves, name, color in ((theirs, "authors' code", ORANGE), (ours, "qam_torch", BLUE)):
            values = getattr(curves, measure)
            axes.plot(curves.updates, values.T, color=color, alpha=0.3, linewidth=0.8, clip_on=False)
            text = f"{name}, mean over {len(curves.seeds)} seeds"
            axes.plot(
                curves.updates, np.mean(values, 0), color=color, linewidth=2.2, marker="o", label=text, clip_on=False
            )
        axes.set_xlim(0, ours.updates[-1])
        axes.set_xlabel("updates")
        axes.set_ylabel(label)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    panels[0].set_ylim(0, 1)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    set_title(figure, title)
    return figure
