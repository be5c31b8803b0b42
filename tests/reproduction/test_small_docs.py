"""The tables of docs/reproduction.md against the committed results of the small benchmark and of its tuning."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest

from qam_torch.config.composition import compose
from qam_torch.reproduction.small_runs import ENVIRONMENTS, METHODS
from qam_torch.reproduction.small_tuning import chosen_value

DOCS = Path(__file__).resolve().parents[2] / "docs"
BEHAVIOR = "behavior cloning"


def rows(name: str) -> list[dict[str, str]]:
    with (DOCS / "files" / name).open() as file:
        return list(csv.DictReader(file))


def table(header: str) -> dict[str, list[str]]:
    """The cells of the table that begins with `header`: name in the first column -> the other columns."""
    lines = (DOCS / "reproduction.md").read_text().splitlines()
    (start,) = (number for number, line in enumerate(lines) if line.startswith(header))
    cells = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        name, *others = [cell.strip() for cell in line.strip("|").split("|")]
        cells[name.strip("`")] = others
    return cells


def shown(success: Sequence[float]) -> str:
    return f"{sum(success) / len(success):.2f} ({', '.join(f'{one:.2f}' for one in success)})"


def test_the_results() -> None:
    curves, last = rows("small_curves.csv"), str(compose(["experiment=small"]).offline_steps)
    cells = table(f"| method | {ENVIRONMENTS[0]}")
    assert list(cells) == [BEHAVIOR, *METHODS]
    for method, own in cells.items():
        for environment, cell in zip(ENVIRONMENTS, own, strict=True):
            place = (f"{environment}-v0", "1", method, last)
            final = [row for row in curves if (row["env"], row["task"], row["method"], row["step"]) == place]
            assert [row["seed"] for row in final] == ["1", "2", "3"]
            assert cell == shown([float(row["success"]) for row in final]), (method, environment)


def test_each_task_is_learned_by_three_methods_but_not_by_behavior_cloning() -> None:
    mean = {
        (method, environment): float(cell.split()[0])
        for method, own in table(f"| method | {ENVIRONMENTS[0]}").items()
        for environment, cell in zip(ENVIRONMENTS, own, strict=True)
    }
    for environment in ENVIRONMENTS:
        assert mean[BEHAVIOR, environment] < 0.1
        assert sum(mean[method, environment] > 0.3 for method in METHODS) >= 3


@pytest.mark.parametrize("method", METHODS)
def test_the_tuning(method: str) -> None:
    key, values, *cells = table("| method | tuned | values | ")[method]
    for environment, cell in zip(ENVIRONMENTS, cells, strict=True):
        own = [row for row in rows("small_tuning.csv") if (row["method"], row["environment"]) == (method, environment)]
        tried, success = [float(row["value"]) for row in own], [float(row["success"]) for row in own]
        assert {f"`{row['key']}`" for row in own} == {key} and values == ", ".join(f"{value:g}" for value in tried)
        chosen = chosen_value(tried, success)
        expected = [
            f"**{one:.2f}**" if value == chosen else f"{one:.2f}" for value, one in zip(tried, success, strict=True)
        ]
        assert cell == ", ".join(expected), environment
