"""The diagram of the packages, from the contracts in pyproject.toml: python scripts/packages_figure.py

Writes docs/images/packages.svg, with the contracts' data as its description.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from diagrams import WIDTH, arrow, box, card, save, write

from qam_torch.plotting.style import BLUE, GREEN, ORANGE

ROOT = Path(__file__).resolve().parents[1]
GREY, ROW, SIZE = "#777777", 30, 10
GROUPS = {
    "the mathematics is pure": ("mathematics: no Lightning, files or environments", BLUE),
    "algorithms know no data": ("methods: no data, environments, files or configuration", ORANGE),
    "data, environments, suites and rollouts know no": ("data and environments: no networks, no Hydra", GREEN),
}
"""Beginning of a contract's name -> what it means, color of the packages that it restricts."""


def contents() -> dict[str, Any]:
    """The layers, from the top to the bottom, and the packages of each group, as pyproject.toml has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    groups = {}
    for beginning in GROUPS:
        (found,) = (contract for contract in contracts if contract["name"].startswith(beginning))
        groups[beginning] = [module.removeprefix("qam_torch.") for module in found["source_modules"]]
    return {"layers": [layer.split(" | ") for layer in layers], "groups": groups}


def main() -> None:
    """Draw the diagram."""
    found = contents()
    layers: list[list[str]] = found["layers"]
    color = {package: GROUPS[group][1] for group, packages in found["groups"].items() for package in packages}
    height = ROW * len(layers) + 76
    figure, axes = card(height)
    for index, layer in enumerate(layers):
        top = height - 12 - ROW * index
        free = WIDTH - 46 - 6 * (len(layer) - 1)
        letters = sum(len(package) + 4 for package in layer)
        wide = min(free / letters, 7.0)
        left = 32 + (free - wide * letters) / 2
        for package in layer:
            right = left + wide * (len(package) + 4)
            box(axes, (left, top - 22, right, top), package, color=color.get(package, GREY), size=SIZE)
            left = right + 6
    arrow(axes, [(16, height - 14), (16, 68)])
    axes.text(9, (height + 54) / 2, "may import", size=9.5, rotation=90, ha="center", va="center")
    for index, (text, shade) in enumerate(GROUPS.values()):
        y = 48 - 16 * index
        box(axes, (24, y - 5, 38, y + 5), "", color=shade)
        write(axes, 46, y, text, 9.5, align="left")
    save(figure, "packages", json.dumps(found))


if __name__ == "__main__":
    main()
