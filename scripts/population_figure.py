"""The figure of a population's time: python scripts/population_figure.py

Reads the table of docs/performance.md, and writes docs/images/population_time.svg.
"""

from __future__ import annotations

import json
import re

from diagrams import IMAGES, WIDTH, card, save

from qam_torch.plotting.style import BLUE, INK, VERMILION, styled


def times() -> dict[str, dict[str, float]]:
    """Size -> number of members -> milliseconds per update, as in the table."""
    text = (IMAGES.parent / "performance.md").read_text(encoding="utf-8")
    head, _, *rows = text.partition("## Populations\n")[2].partition("| size |")[2].split("\n\n")[0].splitlines()
    members = re.findall(r"P = (\d+)", head)
    cells = {row.split("`")[1]: re.findall(r"([\d.]+) ms", row) for row in rows}
    return {size: dict(zip(members, map(float, found), strict=True)) for size, found in cells.items()}


@styled
def main() -> None:
    """Draw the figure."""
    found, height = times(), 230
    figure, _ = card(height)
    for index, size in enumerate(("small", "medium")):
        time = {int(members): milliseconds for members, milliseconds in found[size].items()}
        left = 52 + 205 * index
        axes = figure.add_axes((left / WIDTH, 44 / height, 155 / WIDTH, 146 / height))
        places = range(len(time))
        alone = [members * time[1] for members in time]
        axes.bar([x - 0.2 for x in places], alone, 0.38, color=VERMILION, label="separate runs, one after another")
        axes.bar([x + 0.2 for x in places], list(time.values()), 0.38, color=BLUE, label="one population")
        for x, (separate, together) in enumerate(zip(alone, time.values(), strict=True)):
            axes.text(x - 0.2, separate, f"{separate:.3g}", ha="center", va="bottom", size=8, color=INK)
            axes.text(x + 0.2, together, f"{together:.3g}", ha="center", va="bottom", size=8, color=INK)
        axes.set_xticks(list(places), [str(members) for members in time])
        axes.grid(visible=False, axis="x")
        axes.set_ylim(0, max(alone + list(time.values())) * 1.15)
        axes.set_title(size)
        axes.set_xlabel("members")
        if index == 0:
            axes.set_ylabel("ms per update of all members")
            figure.legend(*axes.get_legend_handles_labels(), loc="upper center", ncols=2, bbox_to_anchor=(0.5, 0.99))
    save(figure, "population_time", json.dumps(found))


if __name__ == "__main__":
    main()
