"""The diagram of action chunks over time: python scripts/chunk_figure.py writes docs/images/chunk.svg."""

from __future__ import annotations

from diagrams import arrow, box, card, digest, save, write
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from qam_torch.plotting.style import BLUE, GREEN, INK, ORANGE, VERMILION

LEFT, CELL, HIGH = 20, 39, 20


def cells(axes: Axes, first: int, count: int, y: float, color: str, label: str, executed: int | None = None) -> None:
    """Boxes of consecutive steps; those past `executed` are empty."""
    for index in range(count):
        done = executed is None or index < executed
        x = LEFT + (first + index) * CELL
        style = {"fc": color, "alpha": 0.3} if done else {"fc": "none", "ls": ":"}
        axes.add_patch(Rectangle((x + 1, y), CELL - 2, HIGH, ec="none" if done else color, **style))
        text = label.format(first + index, index)
        write(axes, x + CELL / 2, y + HIGH / 2, text, 10, color=INK if done else "#777777")


def observed(axes: Axes, step: int, y: float, height: float = 9) -> None:
    """An observation, at the time between two actions."""
    x = LEFT + step * CELL
    arrow(axes, [(x, y + height + 6), (x, y + 1)])
    write(axes, x + (0 if step else 2), y + height + 12, f"$s_{{{step}}}$", 10)


def main() -> None:
    """Draw the diagram."""
    figure, axes = card(484)
    write(axes, 14, 470, "Acting with chunks of h = 5 actions", 11, bold=True, align="left")
    cells(axes, 0, 5, 408, BLUE, "$a_{{{0}}}$")
    cells(axes, 5, 5, 408, ORANGE, "$a_{{{0}}}$")
    for step in (0, 5, 10):
        observed(axes, step, 428)
    write(axes, 14, 397, "The policy observes only between chunks.", 10, align="left")

    write(axes, 14, 374, "With execute_steps = 2", 11, bold=True, align="left")
    for index, color in enumerate((BLUE, ORANGE, GREEN)):
        observed(axes, 2 * index, 344 - 39 * index, 0)
        cells(axes, 2 * index, 5, 324 - 39 * index, color, "$a_{{{0}}}$", 2)
    write(axes, 14, 234, "Dotted actions are not executed: the policy chooses a new chunk.", 10, align="left")

    write(axes, 14, 210, "One row of a batch", 11, bold=True, align="left")
    cells(axes, 0, 5, 152, BLUE, "$a_{{{0}}}$")
    observed(axes, 0, 172)
    observed(axes, 5, 172)
    cells(axes, 0, 1, 130, VERMILION, "$r_0$")
    cells(axes, 1, 1, 130, VERMILION, r"$\gamma r_1$")
    cells(axes, 2, 3, 130, VERMILION, r"$\gamma^{{{0}}} r_{{{0}}}$")
    box(axes, (232, 132, 418, 170), r"$y = R + \gamma^5\, m\, V(s_5)$", color=GREEN, size=11)
    write(axes, 14, 119, "R is the sum of the discounted rewards of the window.", 10, align="left")

    write(axes, 14, 97, "Windows at the end of an episode", 11, bold=True, align="left")
    cells(axes, 0, 7, 68, BLUE, "")
    cells(axes, 7, 3, 68, ORANGE, "")
    write(axes, LEFT + 3.5 * CELL, 78, "episode")
    write(axes, LEFT + 8.5 * CELL, 78, "next episode")
    end = LEFT + 7 * CELL
    axes.plot([end, end], [22, 90], color=INK, lw=1.4, zorder=4)
    for first, y, text in ((2, 46, "valid = 1"), (4, 24, "valid = 0")):
        start = LEFT + first * CELL
        color = GREEN if first == 2 else VERMILION
        axes.add_patch(Rectangle((start + 1, y), 5 * CELL - 2, HIGH, fc=color, alpha=0.25, ec="none"))
        write(axes, start + 2.5 * CELL + (0 if first == 2 else 44), y + HIGH / 2, text, 10)
        write(axes, start - 6, y + HIGH / 2, "window", 10, align="right")
    write(
        axes,
        14,
        12,
        "Across the end a window has weight 0 in the losses of critic and behavior flow.",
        10,
        align="left",
    )
    save(figure, "chunk", digest(__file__))


if __name__ == "__main__":
    main()
