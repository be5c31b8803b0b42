"""Define the style and colors of all figures, and save figures atomically.

Figures are made without pyplot, so that neither the backend nor any global state of matplotlib changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from qam_torch.system.files import atomic_path
from qam_torch.types import QamError

__all__ = ["BLUE", "DPI", "GREEN", "INK", "ORANGE", "VERMILION", "colors", "set_title", "save_figure", "styled"]

DPI = 130
# Okabe and Ito's colors, which people with any form of color vision can distinguish.
BLUE, ORANGE, GREEN, VERMILION, INK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#333333"
PURPLE, SKY = "#CC79A7", "#56B4E9"
WINE, OLIVE = "#882255", "#999933"  # from Paul Tol's muted scheme
_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.titlesize": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#999999",
    "xtick.color": "#666666",
    "ytick.color": "#666666",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "lines.solid_capstyle": "round",
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
styled = matplotlib.rc_context(_STYLE)  # as a decorator: the style applies only inside the function


def colors(count: int) -> list[Any]:
    """Return `count` different colors. More than eight are evenly spaced colors of the viridis scale.

    The first six are distinguishable with any form of color vision.
    """
    few = [BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, WINE, OLIVE]
    return few[:count] if count <= len(few) else list(colormaps["viridis"](np.linspace(0, 0.95, count)))


def set_title(figure: Figure, title: str | None) -> None:
    """Set the figure's title if there is one."""
    if title:
        figure.suptitle(title, fontweight="bold")


@styled
def save_figure(figure: Figure | None, path: str | Path) -> bool:
    """Save a figure atomically as a PNG.

    Args:
        figure: the figure, or None.
        path: path of the file.

    Returns:
        True, or False without writing a file if `figure` is None.

    Raises:
        QamError: the file cannot be written; an existing file is kept.
    """
    if figure is None:
        return False
    path = Path(path)
    try:
        with atomic_path(path, shared=True) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI)
    except OSError as error:
        reason = error.strerror or error
        raise QamError(f"could not write '{path}' ({reason}): give a writable directory with free space") from None
    return True
