"""Published success rates on fifty tasks of ten domains: of Li & Levine 2026, and of RQL from transcriptions.

paper_results.csv.gz contains the results of Li & Levine's methods every 50,000 steps. They are derived from the
authors' released experiment data (MIT license). The result of a domain is the mean over its five tasks, and the result
"all" is the mean over all fifty tasks. Intervals are 95% bootstrap intervals over twelve seeds.

rql_results.csv contains the final results of RQL: integer percents without intervals. Third parties transcribed them
from a table of Oberai, Park & Levine 2026:

- Domains are from BASELINES.md of github.com/ChristianLin0420/treewm (a399892).
- Tasks are from report_dql111.py of github.com/ChristianLin0420/rql- (0fd0a2c), by the same person.
- "all" is the mean over the domains.

The means over the tasks agree with the domains to within rounding. A note by another person gives 0.56 for all domains.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

import numpy as np

from qam_torch.types import QamError, require

__all__ = ["ALGOS", "CITATION", "RQL_CITATION", "Curve", "Figure", "Published", "domain_of", "published"]

CITATION = 'Li & Levine, "Q-learning with Adjoint Matching", 2026 (arXiv 2601.14234)'
RQL_CITATION = 'Oberai, Park & Levine, "Reversal Q-Learning", 2026 (arXiv 2606.17551)'

RQL_DOUBTS = (
    "transcribed by third parties from the paper's appendix, in integer percents without intervals, and not checked "
    "against the paper or its data. According to them the runs have 4 seeds and 2,000,000 updates, but the released "
    "commands of the authors make 1,000,000, where the figures are placed here. The other methods have 12 seeds and "
    "1,000,000 updates"
)

ALGOS = {
    "QAM": "qam", "QAM-F": "qam_f", "QAM-E": "qam_e", "BAM": "bam", "CGQL": "cgql", "CGQL-M": "cgql_mse",
    "CGQL-L": "cgql_linex", "DAC": "dac", "DSRL": "dsrl", "FAWAC": "fawac", "FBRAC": "fbrac", "FEdit": "fedit",
    "FQL": "fql", "IFQL": "ifql", "QSM": "qsm", "ReBRAC": "rebrac", "RLPD": "rlpd",
    "RQL": "rql",
}  # fmt: skip
"""Name of a method in the paper -> its name in this library, as in algo=NAME."""

_RQL_UPDATES = 1_000_000
"""Number of updates in the authors' released commands for RQL."""


class Figure(NamedTuple):
    """A published success rate with its 95% interval, after a number of offline updates and online steps.

    Attributes:
        offline_updates: gradient updates before the online phase.
        online_steps: environment steps of the online phase; 0 while offline.
        success: success rate in [0, 1].
        low: lower end of the interval; NaN if no interval is published.
        high: upper end of the interval; NaN if no interval is published.
    """

    offline_updates: int
    online_steps: int
    success: float
    low: float
    high: float


class Curve(NamedTuple):
    """The published results of one method on a task, on a domain or on all domains.

    Attributes:
        method: name of the method in the paper.
        name: name of the task or domain, or "all".
        offline_updates: (n,), int, gradient updates before the online phase.
        online_steps: (n,), int, environment steps; 0 while offline.
        success: (n,), success rates in [0, 1].
        low: (n,), lower ends of the 95% bootstrap intervals over seeds; NaN if no interval is published.
        high: (n,), upper ends of the intervals; NaN if no interval is published.
        seeds: number of seeds.
        citation: source of the results.
        doubts: why the numbers may be wrong, e.g. because third parties transcribed them; empty for the authors' data.
    """

    method: str
    name: str
    offline_updates: np.ndarray
    online_steps: np.ndarray
    success: np.ndarray
    low: np.ndarray
    high: np.ndarray
    seeds: int
    citation: str = CITATION
    doubts: str = ""

    @property
    def steps(self) -> np.ndarray:
        """Offline updates plus online environment steps (n,), which is how a run counts its steps."""
        return self.offline_updates + self.online_steps

    @property
    def figures(self) -> list[Figure]:
        """The points of the curve, in order of time."""
        columns = (self.offline_updates, self.online_steps, self.success, self.low, self.high)
        return [Figure(*point) for point in zip(*(column.tolist() for column in columns), strict=True)]

    def at(self, offline_updates: int, online_steps: int = 0) -> Figure | None:
        """Find the last result at or before a step, in the same phase.

        An online result fits only if its number of offline updates is equal to `offline_updates`.

        Args:
            offline_updates: updates of the offline phase.
            online_steps: steps of the online phase; 0 while offline.

        Returns:
            The result, or None if no published result fits.
        """
        online = self.online_steps > 0
        if online_steps:
            fits = online & (self.offline_updates == offline_updates) & (self.online_steps <= online_steps)
        else:
            fits = ~online & (self.offline_updates <= offline_updates)
        return self.figures[np.flatnonzero(fits)[-1]] if fits.any() else None


class Published:
    """All published results. `qam_torch.published()` loads them."""

    def __init__(self, curves: dict[tuple[str, str], Curve]) -> None:
        self._curves = curves

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods in the papers."""
        return tuple(name for name in ALGOS if (name, "all") in self._curves)

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains, e.g. cube-triple-play. Each domain has tasks 1 to 5."""
        return tuple(sorted({name for _, name in self._curves if name != "all" and "-singletask-" not in name}))

    def curve(self, method: str, name: str = "all", task: int | None = None) -> Curve:
        """Find the results of one method.

        Args:
            method: name in the paper, e.g. QAM-E, or name in this library, e.g. qam_e.
            name: a domain or its dataset, one of OGBench's single tasks, or "all".
            task: task of the domain, 1 to 5; None for all tasks of the domain.

        Returns:
            The results on the task, on the domain or on all domains.

        Raises:
            QamError: nothing is published under these names. The message lists similar names.
        """
        require("task", task is None or task in range(1, 6), task, "one of a domain's tasks, 1 to 5")
        names = {algo: published for published, algo in ALGOS.items()} | {own: own for own in ALGOS}
        if method not in names:
            raise QamError(f"no figures of method '{method}' are published: {_nearest(method, list(names))}")
        place = name if "-singletask-" in name or name == "all" else domain_of(name)
        place = place if task is None else f"{place}-singletask-task{task}-v0"
        found = self._curves.get((names[method], place))
        if found is None:
            raise QamError(f"no figures of '{place}' are published: {_nearest(name, ['all', *self.domains])}")
        return found

    def has(self, method: str, name: str = "all", task: int | None = None) -> bool:
        """Return whether results are published under these names, see `curve`."""
        try:
            self.curve(method, name, task)
        except QamError:
            return False
        return True


def domain_of(dataset: str) -> str:
    """Return the domain of a dataset: its name without size and version, e.g. without -100m-v0."""
    return re.sub(r"(-100m)?(-v\d+)?$", "", dataset)


@cache
def published() -> Published:
    """Load the success rates of Li & Levine 2026 (arXiv 2601.14234) and of RQL (arXiv 2606.17551).

    Third parties transcribed the results of RQL, see `Curve.doubts`.
    """
    files = resources.files("qam_torch.paper")
    rows = list(csv.reader(gzip.decompress(files.joinpath("paper_results.csv.gz").read_bytes()).decode().splitlines()))
    grouped: dict[tuple[str, str], list[list[str]]] = {}
    for _, name, method, *numbers in rows[1:]:
        grouped.setdefault((method, name), []).append(numbers)
    curves = {key: _curve(*key, numbers) for key, numbers in grouped.items()}
    for row in csv.DictReader(files.joinpath("rql_results.csv").read_text(encoding="utf-8").splitlines()):
        curves["RQL", row["name"]] = _transcribed(row["name"], float(row["success"]), int(row["seeds"]))
    return Published(curves)


def _curve(method: str, name: str, rows: list[list[str]]) -> Curve:
    table = np.array(rows, dtype=np.float64)
    table = table[np.lexsort((table[:, 1], table[:, 0]))]
    steps, rates = table[:, :2].astype(np.int64), table[:, 2:5]
    return Curve(method, name, steps[:, 0], steps[:, 1], rates[:, 0], rates[:, 1], rates[:, 2], int(table[0, 5]))


def _transcribed(name: str, success: float, seeds: int) -> Curve:
    """Build a curve from RQL's only result on a task or domain."""
    steps, rates = np.array([_RQL_UPDATES]), np.array([success])
    unknown = np.full(1, np.nan)
    return Curve("RQL", name, steps, 0 * steps, rates, unknown, unknown, seeds, RQL_CITATION, RQL_DOUBTS)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}"
