"""What a sweep came to, run by run: on the terminal and as a file."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from qam_torch.experiment.sweeps.outcome import DONE, Record

__all__ = ["read_records", "show", "status_of", "write_table"]


def read_records(directory: Path, expected: Sequence[Sequence[str]] | None = None) -> list[Record]:
    """The records of a sweep in the order of its runs.

    expected  the words of each run, where they are known beforehand: those without a record have not begun
    """
    found = {record.number: record for record in map(Record.read, Record.path(directory, 0).parent.glob("*.json"))}
    for number, words in enumerate(expected or ()):
        found.setdefault(number, Record(number, list(words)))
    return [found[number] for number in sorted(found)]


def status_of(records: Sequence[Record]) -> int:
    """Exit status of a sweep: 0 if every run has come to its results."""
    return 0 if all(record.outcome.ending in DONE for record in records) else 1


def show(records: Sequence[Record], directory: Path) -> None:
    """A line for each run, the reasons of those that failed, and how many ended how."""
    measures = dict.fromkeys(record.outcome.measure for record in records if record.outcome.score is not None)
    header = ("run", "ended", " or ".join(measures) or "success", "seconds", "directory")
    names = _names(records)
    rows = [(name, *_cells(record)) for name, record in zip(names, records, strict=True)]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    print()
    for name, ending, score, seconds, place in (header, *rows):
        print(f"  {name:{widths[0]}}  {ending:{widths[1]}}  {score:>{widths[2]}}  {seconds:>{widths[3]}}  {place}")
    for name, record in zip(names, records, strict=True):
        if record.outcome.reason:
            print(f"\n  {name}\n    {record.outcome.reason}")
    counts = Counter(record.outcome.ending for record in records)
    told = ", ".join(f"{count} {ending}" for ending, count in counts.items())
    print(f"\n  {len(records)} runs: {told or 'none begun'}; table and logs in {directory}/", flush=True)


def write_table(records: Sequence[Record], directory: Path) -> None:
    """The same as sweep.csv in the sweep's directory."""
    with open(directory / "sweep.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("number", "run", "ended", "measure", "score", "seconds", "directory", "reason"))
        for record in records:
            outcome = record.outcome
            writer.writerow(
                (record.number, " ".join(record.words), outcome.ending, outcome.measure, outcome.score,
                 outcome.seconds, outcome.directory, outcome.reason)
            )  # fmt: skip


def _names(records: Sequence[Record]) -> list[str]:
    """What was asked of each run, without what all have in common."""
    common = set.intersection(*(set(record.words) for record in records)) if len(records) > 1 else set()
    return [" ".join(word for word in record.words if word not in common) or str(record.number) for record in records]


def _cells(record: Record) -> tuple[str, str, str, str]:
    outcome = record.outcome
    score = "" if outcome.score is None else f"{outcome.score:.2f}"
    seconds = "" if outcome.seconds is None else f"{outcome.seconds:,.0f}"
    return outcome.ending, score, seconds, outcome.directory and os.path.relpath(outcome.directory)
