"""Compare learning curves of this library and of the authors' code, with a verdict if there are enough seeds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from qam_torch.paper.learning_curves import LearningCurves
from qam_torch.stats.differences import Difference, difference_of_means, difference_of_shares
from qam_torch.stats.success import FEWEST_SEEDS
from qam_torch.system.files import write_text

__all__ = ["Comparison", "compare", "table_lines", "write_curves"]

SOLVED = 0.9
"""A seed solves the task if its success rate is higher than this."""


class Comparison(NamedTuple):
    """One measure of both codes at the last evaluation.

    Attributes:
        measure: name of the measure.
        ours: mean over this library's seeds.
        theirs: mean over the seeds of the authors' code.
        difference: ours minus theirs with its 99% interval, or None if there are too few seeds.
    """

    measure: str
    ours: float
    theirs: float
    difference: Difference | None

    @property
    def verdict(self) -> str:
        """Whether the codes differ, as text."""
        if self.difference is None:
            return "too few seeds"
        return "differs" if self.difference.excludes_zero else "no difference found"


def compare(ours: LearningCurves, theirs: LearningCurves) -> list[Comparison]:
    """Compare the last evaluations of both codes, which must be after the same number of updates.

    Args:
        ours: curves of this library.
        theirs: curves of the authors' code.

    Returns:
        One comparison per measure.
    """
    assert ours.updates[-1] == theirs.updates[-1]
    enough = min(len(ours.seeds), len(theirs.seeds)) >= FEWEST_SEEDS
    pairs = {
        "final success": (ours.success[:, -1], theirs.success[:, -1], difference_of_means),
        f"share of seeds above {SOLVED}": (
            ours.success[:, -1] > SOLVED,
            theirs.success[:, -1] > SOLVED,
            difference_of_shares,
        ),
        "mean critic value": (ours.q_mean[:, -1], theirs.q_mean[:, -1], difference_of_means),
    }
    return [
        Comparison(measure, float(np.mean(own)), float(np.mean(other)), interval(own, other) if enough else None)
        for measure, (own, other, interval) in pairs.items()
    ]


def table_lines(runs: dict[str, tuple[LearningCurves, LearningCurves]]) -> list[str]:
    """Format the comparisons as a Markdown table.

    Args:
        runs: name of a run -> its curves, and the curves of the authors' code.

    Returns:
        The lines of the table.
    """
    lines = [
        "| run | seeds, ours and theirs | measure | ours | theirs | difference | 99% interval | width | verdict |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, (ours, theirs) in runs.items():
        for one in compare(ours, theirs):
            seeds = f"{len(ours.seeds)}, {len(theirs.seeds)}"
            difference, interval, width = f"{one.ours - one.theirs:+.3f}", "", ""
            if one.difference is not None:
                interval = f"{one.difference.low:+.3f} to {one.difference.high:+.3f}"
                width = f"{one.difference.high - one.difference.low:.3f}"
            cells = [name, seeds, one.measure, f"{one.ours:.3f}", f"{one.theirs:.3f}", difference, interval, width]
            lines.append(f"| {' | '.join([*cells, one.verdict])} |")
    return lines


def write_curves(path: Path, runs: dict[str, tuple[LearningCurves, LearningCurves]]) -> None:
    """Write the curves of both codes as CSV, with one row per run, code, seed and evaluation."""
    lines = ["run,code,seed,update,success,q_mean"]
    for name, pair in runs.items():
        for code, curves in zip(("qam_torch", "authors"), pair, strict=True):
            for s, seed in enumerate(curves.seeds):
                for u, update in enumerate(curves.updates):
                    lines.append(f"{name},{code},{seed},{update},{curves.success[s, u]:.4g},{curves.q_mean[s, u]:.6g}")
    write_text(path, "\n".join(lines) + "\n")
