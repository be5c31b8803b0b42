"""Record the outcome of each run of a sweep in one file per run. The file remains if the launching process dies."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from qam_torch.system.errors import RUN_MEMORY, sentence_of
from qam_torch.system.files import write_json
from qam_torch.system.machine import is_alive
from qam_torch.types import QamError

__all__ = ["DONE", "Outcome", "Record", "failed_outcome", "score_of"]

DONE = ("finished", "resumed", "skipped")
"""Endings of runs that have results."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. Hydra's Optuna sweeper converts it to a number, the score.

    Attributes:
        ending: finished; resumed = finished after resuming from a checkpoint; skipped = finished before; failed;
            interrupted; running; not started.
        directory: the run directory.
        score: final success, or final return if the environment does not report success; None without results.
        measure: name of the score, "success" or "return".
        seconds: wall time in seconds, excluding the time before the checkpoint from which the run resumed.
        reason: why the run failed or was interrupted; empty otherwise.
    """

    ending: str
    directory: str = ""
    score: float | None = None
    measure: str = "success"
    seconds: float | None = None
    reason: str = ""

    def __float__(self) -> float:
        if self.score is None:
            raise ValueError(self.reason or f"the run is {self.ending}")
        return self.score


def failed_outcome(error: Exception, directory: str) -> Outcome:
    """Return the outcome of a run that failed with an error. For unexpected errors, the reason includes the type."""
    reason = sentence_of(error, RUN_MEMORY) or f"{type(error).__name__}: {str(error)[:200]}"
    return Outcome("failed", directory, reason=" ".join(reason.split()))


def score_of(summary: Mapping[str, Any]) -> tuple[float, str]:
    """Return the final success or return in a run's summary.json, and its name, "success" or "return"."""
    measure = "success" if "success" in summary["final"] else "return"
    return float(summary["final"][measure]), measure


@dataclass(frozen=True)
class Record:
    """One run of a sweep.

    Attributes:
        number: index in the sweep, from 0.
        words: overrides of the run.
        name: the overrides that distinguish the run from the other runs.
        outcome: outcome of the run so far.
        host: name of the machine that executes the run; empty before the run starts.
        pid: process id of the run on that machine; 0 before the run starts.
    """

    number: int
    words: Sequence[str]
    name: str
    outcome: Outcome = field(default_factory=lambda: Outcome("not started"))
    host: str = ""
    pid: int = 0

    def with_outcome(self, outcome: Outcome) -> Record:
        """Return a copy with another outcome."""
        return replace(self, outcome=outcome)

    def is_running(self) -> bool:
        """Whether the run's process is alive. On another machine, a run is alive if its outcome is "running"."""
        if self.outcome.ending != "running" or self.host != socket.gethostname():
            return self.outcome.ending == "running"
        return is_alive(self.pid)

    def line(self) -> str:
        """Describe the run in one line."""
        outcome = self.outcome
        score = "" if outcome.score is None else f", {outcome.measure} {outcome.score:.2f}"
        reason = f": {outcome.reason}" if outcome.reason else ""
        return f"run {self.number} {outcome.ending}{score}: {self.name}{reason}"

    @staticmethod
    def path(directory: Path, number: int) -> Path:
        """Return the path of a run's record in a sweep's directory."""
        return directory / "runs" / f"{number:04d}.json"

    def as_dict(self) -> dict[str, Any]:
        """Return the record as a dictionary of JSON types."""
        return {**asdict(self), "words": list(self.words)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Record:
        """Inverse of `as_dict`. Raises LookupError or TypeError if the content is not a record."""
        return cls(**{**content, "outcome": Outcome(**content["outcome"])})

    def write(self, path: Path) -> None:
        """Write the record atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.as_dict())

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read a record; raises QamError if the file is not a record."""
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, LookupError, TypeError):
            raise QamError(f"'{path}' is not a record of a sweep: remove it") from None
