"""The animation of README.md: the policy of a run on a maze, and its behavior flow, in the same episodes.

python scripts/animation.py RUN [--episodes 24] [--output docs/images/quickstart]

Writes OUTPUT.gif and, as a still, its last frame OUTPUT-still.png.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

import qam_torch
from qam_torch.envs.maze import maze_layout
from qam_torch.inference.episodes import evaluate_members
from qam_torch.inference.load_algorithm import load_algorithm
from qam_torch.plotting.mazes import draw_maze
from qam_torch.plotting.style import BLUE, VERMILION, styled
from qam_torch.rollout.pools import evaluation_pool
from qam_torch.rundir.checkpoints import SECTION, read_checkpoint
from qam_torch.suites import suite_of
from qam_torch.types import MazeLayout

FRAMES = 75
TITLES = {"policy": "QAM's policy", "behavior_policy": "behavior flow"}


def main() -> None:
    """Play the episodes, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of a maze")
    parser.add_argument("--episodes", type=int, default=24, metavar="N")
    parser.add_argument("--output", type=Path, default=Path("docs/images/quickstart"), metavar="PATH")
    options = parser.parse_args()
    paths = {name: play(options.run, name, options.episodes) for name in TITLES}
    longest = max(len(path) for path in paths["policy"])
    environment = qam_torch.load_policy(options.run).make_environment()
    figure, draw = drawing(maze_layout(environment), paths)
    images = []
    for step in np.linspace(0, longest - 1, FRAMES).round().astype(int):
        draw(int(step))
        images.append(as_image(figure))
    first, *others = [image.quantize(64) for image in images]
    movie = options.output.with_suffix(".gif")
    first.save(movie, save_all=True, append_images=others, duration=80, loop=0, optimize=True)
    images[-1].save(options.output.with_name(f"{options.output.name}-still.png"), optimize=True)


def play(run: Path, name: str, episodes: int) -> list[np.ndarray]:
    """Positions (length + 1, 2) of each episode."""
    checkpoint = read_checkpoint(run)
    algorithm, settings = load_algorithm(checkpoint, 0), checkpoint[SECTION]["run"]
    action_dim = int(checkpoint[SECTION]["arguments"]["action_dim"])
    with evaluation_pool(suite_of(settings).make(settings), 1, episodes, None, 0, ()) as pool:
        found = evaluate_members(algorithm, pool, episodes, action_dim, 0, "animation", name, record_positions=True)
    assert found.trajectories is not None
    return list(found.trajectories)


@styled
def drawing(layout: MazeLayout, paths: dict[str, list[np.ndarray]]) -> tuple[Figure, Callable[[int], None]]:
    """The figure, and a function that draws a step into it."""
    figure = Figure(figsize=(8.4, 4.3), layout="constrained", dpi=80)
    panels = []
    for axes, (name, title) in zip(figure.subplots(1, 2), TITLES.items(), strict=True):
        draw_maze(axes, layout)
        axes.set_xticks([])
        axes.set_yticks([])
        color = BLUE if name == "policy" else VERMILION
        trails = axes.add_collection(LineCollection([], colors=color, linewidths=0.8, alpha=0.35, zorder=3))
        dots = axes.scatter([], [], s=22, color=color, edgecolor="white", linewidth=0.6, zorder=7)
        panels.append((axes, title, paths[name], trails, dots))

    def draw(step: int) -> None:
        for axes, title, own, trails, dots in panels:
            arrived = sum(len(path) - 1 <= step and len(path) <= 1000 for path in own)
            axes.set_title(f"{title}: {arrived} of {len(own)} arrived")
            trails.set_segments([path[: step + 1] for path in own])
            dots.set_offsets([path[min(step, len(path) - 1)] for path in own])

    return figure, draw


def as_image(figure: Figure) -> Image.Image:
    """The figure's pixels."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


if __name__ == "__main__":
    main()
