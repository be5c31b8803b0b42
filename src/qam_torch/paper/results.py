"""Published success rates: of Li & Levine 2026 and, second-hand, of RQL, on fifty tasks of ten domains.

paper_results.csv.gz has the methods of Li & Levine every 50,000 steps, derived from the authors' released experiment
data (MIT license). The result of a domain is the mean of its five tasks, that of "all" the mean of fifty; intervals are
95% bootstrap intervals over twelve seeds.

rql_results.csv has the final results of RQL, as third parties transcribed them from a table of Oberai, Park & Levine
2026: integer percents without intervals. Domains: BASELINES.md of github.com/ChristianLin0420/treewm (a399892); tasks:
report_dql111.py of github.com/ChristianLin0420/rql- (0fd0a2c), by the same person; "all": the mean of the domains. The
means of the tasks agree with the domains to within rounding, and a note by another person has 0.56 for all domains.
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
"""The paper's name of a method -> its algo=NAME here."""

_RQL_UPDATES = 1_000_000
"""Updates of the authors' released commands for RQL."""


class Figure(NamedTuple):
    """A published success rate after these many updates offline and steps online, with its 95% interval or NaN."""

    offline_updates: int
    online_steps: int
    success: float
    low: float
    high: float


class Curve(NamedTuple):
    """The published results of one method on one task, on a domain or on all.

    Attributes:
        method: the paper's name.
        name: name of the task or domain, or "all".
        offline_updates: (n,), int, gradient updates before the online phase.
        online_steps: (n,), int, environment steps; 0 while offline.
        success: (n,), in [0, 1].
        low: (n,), lower end of the 95% bootstrap interval over seeds; NaN if no interval is published.
        high: (n,), upper end.
        seeds: number of seeds.
        citation: source of the results.
        doubts: why the numbers may be wrong, such as a transcription by third parties; empty for the authors' own data.
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
        """(n,) updates offline plus environment steps online, as a run counts its steps."""
        return self.offline_updates + self.online_steps

    @property
    def figures(self) -> list[Figure]:
        """The curve point by point, in order of time."""
        columns = (self.offline_updates, self.online_steps, self.success, self.low, self.high)
        return [Figure(*point) for point in zip(*(column.tolist() for column in columns), strict=True)]

    def at(self, offline_updates: int, online_steps: int = 0) -> Figure | None:
        """The last result at or before a step in the same phase; online, only after equally many updates offline.

        Args:
            offline_updates: updates of the offline phase.
            online_steps: steps of the online phase; 0 while offline.

        Returns:
            The result, or None if nothing was published so early or in that phase.
        """
        online = self.online_steps > 0
        if online_steps:
            fits = online & (self.offline_updates == offline_updates) & (self.online_steps <= online_steps)
        else:
            fits = ~online & (self.offline_updates <= offline_updates)
        return self.figures[np.flatnonzero(fits)[-1]] if fits.any() else None


class Published:
    """All published results, from `qam_torch.published()`."""

    def __init__(self, curves: dict[tuple[str, str], Curve]) -> None:
        self._curves = curves

    @property
    def methods(self) -> tuple[str, ...]:
        """The paper's names of the methods."""
        return tuple(name for name in ALGOS if (name, "all") in self._curves)

    @property
    def domains(self) -> tuple[str, ...]:
        """Domains such as cube-triple-play; each has tasks 1 to 5."""
        return tuple(sorted({name for _, name in self._curves if name != "all" and "-singletask-" not in name}))

    def curve(self, method: str, name: str = "all", task: int | None = None) -> Curve:
        """The results of one method.

        Args:
            method: the paper's name, such as QAM-E, or algo=NAME, such as qam_e.
            name: a domain or its dataset, one of OGBench's single tasks, or "all".
            task: 1 to 5, one task of the domain.

        Raises:
            QamError: nothing is published under these names; the message has the nearest ones.
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
        """Whether results are published under these names."""
        try:
            self.curve(method, name, task)
        except QamError:
            return False
        return True


def domain_of(dataset: str) -> str:
    """The domain of a dataset: its name without size and version, such as -100m-v0."""
    return re.sub(r"(-100m)?(-v\d+)?$", "", dataset)


@cache
def published() -> Published:
    """Load the success rates of Li & Levine 2026 (arXiv 2601.14234) and of RQL (arXiv 2606.17551).

    Those of RQL were transcribed by third parties, see `Curve.doubts`.
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
    """RQL's only result on a task or domain."""
    steps, rates = np.array([_RQL_UPDATES]), np.array([success])
    unknown = np.full(1, np.nan)
    return Curve("RQL", name, steps, 0 * steps, rates, unknown, unknown, seeds, RQL_CITATION, RQL_DOUBTS)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(known)}"
