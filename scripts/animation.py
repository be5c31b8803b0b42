"""The animation of README.md: the policy of a run on a maze, and its behavior flow, in the same episodes.

python scripts/animation.py RUN [--episodes 24] [--output docs/images/quickstart]

Writes OUTPUT.gif and, as a still, its last frame OUTPUT-still.png.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from PIL import Image

import qam_torch
from qam_torch.envs.ogbench import maze_layout
from qam_torch.plotting.mazes import draw_maze
from qam_torch.plotting.style import BLUE, VERMILION, styled

FRAMES, TRAIL = 75, 60
TITLES = {"policy": "QAM's policy", "behavior": "the behavior flow it was fine-tuned from"}


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
    first.save(options.output.with_suffix(".gif"), save_all=True, append_images=others, duration=80, loop=0, optimize=True)
    images[-1].save(options.output.with_name(f"{options.output.name}-still.png"), optimize=True)


def play(run: Path, name: str, episodes: int) -> list[np.ndarray]:
    """Positions (length + 1, 2) of each episode."""
    policy = qam_torch.load_policy(run, policy=name)
    environment = policy.make_environment()
    paths = []
    for seed in range(episodes):
        observation, _ = environment.reset(seed=seed)
        path, over = [observation[:2]], False
        while not over:
            for action in policy(observation):
                observation, _, terminated, truncated, _ = environment.step(action)
                path.append(observation[:2])
                if over := terminated or truncated:
                    break
        paths.append(np.array(path))
    return paths


@styled
def drawing(layout, paths):
    """The figure, and a function that draws a step into it."""
    figure = Figure(figsize=(8.4, 4.3), layout="constrained", dpi=80)
    panels = []
    for axes, (name, title) in zip(figure.subplots(1, 2), TITLES.items(), strict=True):
        draw_maze(axes, layout)
        axes.set_xticks([])
        axes.set_yticks([])
        color = BLUE if name == "policy" else VERMILION
        trails = axes.add_collection(LineCollection([], colors=color, linewidths=0.8, alpha=0.45, zorder=3))
        dots = axes.scatter([], [], s=22, color=color, edgecolor="white", linewidth=0.6, zorder=7)
        panels.append((axes, title, paths[name], trails, dots))

    def draw(step: int) -> None:
        for axes, title, own, trails, dots in panels:
            arrived = sum(len(path) - 1 <= step and len(path) <= 1000 for path in own)
            axes.set_title(f"{title}: {arrived} of {len(own)} have arrived")
            trails.set_segments([path[max(0, step - TRAIL) : step + 1] for path in own])
            dots.set_offsets([path[min(step, len(path) - 1)] for path in own])

    return figure, draw


def as_image(figure: Figure) -> Image.Image:
    """The figure's pixels."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


if __name__ == "__main__":
    main()
