"""The figure of `tilted_density.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import torch
from closed_form import Bumps, Mixture
from torch import Tensor

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.colors import LinearSegmentedColormap


def draw_figure(base: Mixture, value: Bumps, inv_temp: float, panels: dict[str, Tensor], path: Path) -> None:
    """Base samples, exact tilted density and the samples of two flows, side by side over the critic's contours."""
    ink, accent, extent = "#1b2a41", ["#8d99ae", "#e07a1f", "#1f6f8b", "#b23a48"], 3.3
    axis = torch.linspace(-extent, extent, 400)
    plane = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    critic = value(plane)
    decoy = value.centers[1].tolist()
    density = (base.log_density(plane) + inv_temp * critic).exp()
    heat = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#f6c28b", accent[1], "#8a3c06"])

    plt.rcParams.update({"font.family": "DejaVu Sans", "text.color": ink})
    figure, axes = plt.subplots(1, 4, figsize=(14, 4.1), dpi=160, facecolor="white")
    for ax, (title, x), color in zip(axes, panels.items(), accent, strict=True):
        ax.contour(axis, axis, critic, levels=[0.15, 0.35, 0.55, 0.75, 0.95], colors=ink, linewidths=0.7, alpha=0.28)
        if title.startswith("Target"):
            ax.imshow(density, extent=(-extent, extent) * 2, origin="lower", cmap=heat, interpolation="bilinear")
            arrow = {"arrowstyle": "-", "color": ink, "alpha": 0.5, "linewidth": 0.8}
            ax.annotate("high $Q$, no data", decoy, (-3.05, -2.95), fontsize=10, color=ink, arrowprops=arrow)
        else:
            ax.scatter(*x[:5000].T, s=4, color=color, alpha=0.35, linewidths=0, rasterized=True)
        heading, _, note = title.partition("\n")
        ax.set_title(heading, fontsize=12.5, fontweight="bold", color=ink, pad=26)
        ax.text(0.5, 1.035, note, transform=ax.transAxes, ha="center", fontsize=10, color=ink, alpha=0.8)
        ax.set(xlim=(-extent, extent), ylim=(-extent, extent), xticks=[], yticks=[], aspect="equal")
        for spine in ax.spines.values():
            spine.set(color=ink, alpha=0.25)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.82, wspace=0.05)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
