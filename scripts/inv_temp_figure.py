"""The figure of success over inv_temp: python scripts/inv_temp_figure.py [RUN]

RUN is the directory of a finished population with several values of inv_temp and several seeds, whose successes are
written to docs/files/inv_temp.csv. The figure docs/images/inv_temp.svg is drawn from that file.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections import defaultdict
from pathlib import Path

from diagrams import IMAGES, WIDTH, card, save

from qam_torch.plotting.style import BLUE, styled

FILE = IMAGES.parent / "files" / "inv_temp.csv"


def write_successes(run: Path) -> None:
    """Write the final success of every member: inv_temp, seed, success."""
    summary = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    with open(FILE, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("inv_temp", "seed", "success"))
        for member, success in zip(summary["members"], summary["final"]["success_by_seed"], strict=True):
            writer.writerow((member["inv_temp"], member["seed"], success))


def successes() -> dict[float, list[float]]:
    """The file's content: inv_temp -> success of each seed."""
    found: dict[float, list[float]] = defaultdict(list)
    with open(FILE, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[float(row["inv_temp"])].append(float(row["success"]))
    return dict(sorted(found.items()))


def digest_of_file() -> str:
    """SHA-256 of the file: the description of the figure."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()


@styled
def main() -> None:
    """Write the file if a run is given, and draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN")
    run = parser.parse_args().run
    if run is not None:
        write_successes(run)
    found, height = successes(), 230
    figure, _ = card(height)
    axes = figure.add_axes((52 / WIDTH, 44 / height, 360 / WIDTH, 162 / height))
    axes.plot(list(found), [sum(one) / len(one) for one in found.values()], color=BLUE, lw=2, label="mean")
    points = [(value, success) for value, one in found.items() for success in one]
    axes.plot(*zip(*points, strict=True), "o", color=BLUE, ms=5, alpha=0.5, clip_on=False, label="one seed")
    axes.set_xscale("log")
    axes.set_xticks(list(found), [f"{value:g}" for value in found])
    axes.minorticks_off()
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("inv_temp")
    axes.set_ylabel("success")
    axes.legend(loc="best")
    save(figure, "inv_temp", digest_of_file())


if __name__ == "__main__":
    main()
