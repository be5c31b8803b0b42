"""Write metrics.csv during a run, and read it for plots and reports."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qam_torch.system.files import write_text
from qam_torch.types import QamError, require

__all__ = ["EVALUATION_COLUMNS", "MetricsFile", "is_training_metric", "read_metrics"]

PHASES = {"offline": 0.0, "online": 1.0}
EVALUATION_COLUMNS = ("evaluation/success", "evaluation/return", "evaluation/length", "evaluation/seconds")


class MetricsFile:
    """Writes metrics.csv: one row per logged step and member, with metrics of training, collection and evaluation.

    The columns are step, phase (offline or online), update, seed, seconds, and then the metrics. A cell is blank if
    the row has no value. If a metric first occurs later, e.g. in the online phase, its column is added then. If
    hyperparameters differ between members, the column member (the member's index) precedes seed, and one column per
    hyperparameter follows seed.

    Args:
        path: path of the file; None writes nothing.
        seeds: seed of each member.
        values: hyperparameters that differ between members: name -> (P,) values.
    """

    def __init__(
        self, path: Path | None, seeds: Sequence[int], values: Mapping[str, Sequence[float]] | None = None
    ) -> None:
        self.path, self.seeds, self.values = path, tuple(seeds), dict(values or {})
        index = ["member"] if self.values else []
        self.place = ["step", "phase", "update", *index, "seed", *self.values, "seconds"]
        self.columns: list[str] = []

    def restart(self, step: int | None) -> None:
        """Delete rows that the run will write again.

        Args:
            step: last step whose rows are kept; None deletes all rows.
        """
        if self.path is None or not self.path.exists():
            return
        if step is None:
            self.path.unlink()
            return
        header, *rows = self._rows() or [[]]
        kept = [row for row in rows if len(row) == len(header) and int(row[0]) <= step]
        if not kept:  # the header may be unfinished, too, if the run was killed
            self.path.unlink()
            return
        write_text(self.path, "".join(",".join(row) + "\n" for row in [header, *kept]))
        self.columns = header

    def write(self, place: Mapping[str, Any], seconds: float, metrics: Mapping[str, Any]) -> None:
        """Append one row per member.

        Args:
            place: values of the columns step, phase and update.
            seconds: wall time of the run so far.
            metrics: name -> (P,) values; nan leaves the cell blank.

        Raises:
            QamError: the file cannot be written.
        """
        if self.path is None:
            return
        values = {name: np.asarray(value) for name, value in metrics.items()}
        try:
            self._add_columns([*self.place, *values, *([] if self.columns else EVALUATION_COLUMNS)])
            with open(self.path, "a", encoding="utf-8", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                for p, seed in enumerate(self.seeds):
                    row = {**place, "member": p, "seed": seed, "seconds": round(seconds, 3)}
                    row |= {name: numbers[p] for name, numbers in self.values.items()}
                    row |= {name: value[p].item() for name, value in values.items() if not np.isnan(value[p])}
                    writer.writerow([row.get(column, "") for column in self.columns])
        except OSError as error:
            raise QamError(f"could not write '{self.path}' ({error.strerror}): free some disk space") from error

    def _add_columns(self, names: Sequence[str]) -> None:
        """Add the missing columns to the file. This rewrites the whole file, which is small."""
        assert self.path is not None
        new = [name for name in dict.fromkeys(names) if name not in self.columns]
        if new:
            self.columns = [*self.columns, *new]
            rows = self._rows()[1:] if self.path.exists() else []
            widened = [self.columns, *([*row, *[""] * len(new)] for row in rows)]
            write_text(self.path, "".join(",".join(row) + "\n" for row in widened))

    def _rows(self) -> list[list[str]]:
        assert self.path is not None
        with open(self.path, encoding="utf-8", newline="") as file:
            return list(csv.reader(file))


def is_training_metric(column: str) -> bool:
    """Whether a column of metrics.csv is a metric of updates or collected episodes, not of evaluations."""
    return "/" in column and not column.startswith("evaluation/")


def read_metrics(path: str | Path, training: bool = True) -> dict[str, np.ndarray]:
    """Read a run's metrics.csv.

    Args:
        path: path of the file. If its last line is unfinished, because a run is writing it, that line is ignored.
        training: whether to read the training metrics, which are most of the file.

    Returns:
        Column -> (rows,) float64, nan for blank cells. phase is 0 in the offline phase and 1 in the online phase.

    Raises:
        QamError: the file cannot be read, has no header, or has a cell that is not a number.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        header, *rows = list(csv.reader(text.splitlines())) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise QamError(f"'{path}' cannot be read ({reason}): expected the metrics.csv of a run") from None
    if not {"update", "seed"} <= set(header):
        raise QamError(f"'{path}' has no header with the columns update and seed: expected the metrics.csv of a run")
    if rows and len(rows[-1]) < len(header) and not text.endswith("\n"):
        del rows[-1]
    kept = [j for j, name in enumerate(header) if training or not is_training_metric(name)]
    table = np.full((len(rows), len(kept)), np.nan)
    for i, row in enumerate(rows):
        try:
            require("columns", len(row) == len(header), len(row), str(len(header)))
            cells = [row[j] for j in kept]
            table[i] = [PHASES[cell] if cell in PHASES else float(cell) if cell else math.nan for cell in cells]
        except ValueError:
            raise QamError(
                f"line {i + 2} of '{path}' is damaged: expected {len(header)} numbers or blanks, remove the line"
            ) from None
    return dict(zip([header[j] for j in kept], table.T.copy(), strict=True))
