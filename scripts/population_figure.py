"""The figure of a population's time: python scripts/population_figure.py

Reads docs/images/population_time.csv, the table of docs/performance.md, and writes docs/images/population_time.svg.
"""

from __future__ import annotations

import csv

from diagrams import IMAGES, WIDTH, card, save

from qam_torch.plotting.style import BLUE, INK, VERMILION, styled


@styled
def main() -> None:
    """Draw the figure."""
    with (IMAGES / "population_time.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    height = 230
    figure, _ = card(height)
    for index, size in enumerate(("small", "medium")):
        time = {int(row["members"]): float(row["milliseconds"]) for row in rows if row["size"] == size}
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
    save(figure, "population_time")


if __name__ == "__main__":
    main()
