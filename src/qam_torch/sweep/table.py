"""Print the table of a sweep's outcomes, and write it to a file."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from qam_torch.config.overrides import name_of
from qam_torch.sweep.record import DONE, Outcome, Record
from qam_torch.system.text_table import aligned
from qam_torch.types import QamError

__all__ = ["read_records", "print_table", "exit_status", "write_table"]


def read_records(
    directory: Path, common: frozenset[str], expected: Sequence[Sequence[str]] | None = None
) -> list[Record]:
    """Read the records of a sweep in the order of its runs.

    Args:
        directory: directory of the sweep.
        common: overrides shared by all runs.
        expected: overrides of each run, if known in advance. Runs without a record are listed as not started.
    """
    records = {number: Record(number, run, name_of(run, common)) for number, run in enumerate(expected or ())}
    for path in Record.path(directory, 0).parent.glob("[0-9]*.json"):
        try:
            record = Record.read(path)
        except QamError as error:  # the other records are still shown
            record = Record(int(path.stem), (), path.name, Outcome("failed", reason=str(error)))
        records[record.number] = record
    return [records[number] for number in sorted(records)]


def exit_status(records: Sequence[Record]) -> int:
    """Exit status of a sweep: 0 if every run has results, 1 otherwise."""
    return 0 if all(record.outcome.ending in DONE for record in records) else 1


def print_table(records: Sequence[Record], directory: Path) -> None:
    """Print one line per run, the reasons of failures, and the number of runs by ending."""
    measures = dict.fromkeys(record.outcome.measure for record in records if record.outcome.score is not None)
    header = ("run", "ended", " or ".join(measures) or "success", "seconds", "directory")
    rows = [(record.name, *_cells(record)) for record in records]
    print()
    for line in aligned([header, *rows], right=(2, 3)):
        print(f"  {line}")
    for record in records:
        if record.outcome.reason:
            print(f"\n  {record.name}\n    {record.outcome.reason}")
    counts = Counter(record.outcome.ending for record in records)
    endings = ", ".join(f"{count} {ending}" for ending, count in counts.items())
    print(f"\n  {len(records)} runs: {endings or 'none started'}; table and logs in {directory}/", flush=True)


def write_table(records: Sequence[Record], directory: Path) -> None:
    """Write the table as sweep.csv in the sweep's directory."""
    with open(directory / "sweep.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("number", "run", "ended", "measure", "score", "seconds", "directory", "reason", "overrides"))
        for record in records:
            outcome = record.outcome
            writer.writerow(
                (record.number, record.name, outcome.ending, outcome.measure, outcome.score,
                 outcome.seconds, outcome.directory, outcome.reason, " ".join(record.words))
            )  # fmt: skip


def _cells(record: Record) -> tuple[str, str, str, str]:
    outcome = record.outcome
    score = "" if outcome.score is None else f"{outcome.score:.2f}"
    seconds = "" if outcome.seconds is None else f"{outcome.seconds:,.0f}"
    return outcome.ending, score, seconds, outcome.directory and os.path.relpath(outcome.directory)
