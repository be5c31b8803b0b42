"""What became of each run of a sweep, in a file for each, so that it is known whatever becomes of who started them."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from qam_torch.system.files import write_json
from qam_torch.system.machine import is_alive
from qam_torch.types import QamError

__all__ = ["DONE", "Outcome", "Record", "failed_outcome", "score_of"]

DONE = ("finished", "resumed", "skipped")
"""Endings of runs that have come to their results."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended, as Hydra's sweepers get it: Optuna's takes it for a number, the final success.

    Attributes:
        ending: finished; resumed = finished after it had gone on from a checkpoint; skipped = finished before; failed;
            interrupted; running; not started.
        directory: the run directory.
        score: final success, or return where the environment tells no success; None without results.
        measure: which of the two.
        seconds: of this time, without what came before a checkpoint.
        reason: why it failed, in a sentence.
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
    """The outcome of a run that an error ended; one that is not meant for users is told with its type."""
    words = " ".join(str(error).split())
    told = words if isinstance(error, (QamError, OSError)) else f"{type(error).__name__}: {words[:200]}"
    return Outcome("failed", directory, reason=told)


def score_of(summary: Mapping[str, Any]) -> tuple[float, str]:
    """Final success of a run's summary.json, or return where there is none, and which of the two it is."""
    measure = "success" if "success" in summary["final"] else "return"
    return float(summary["final"][measure]), measure


@dataclass(frozen=True)
class Record:
    """One run of a sweep.

    Attributes:
        number: in the sweep, from 0.
        words: its overrides.
        name: those that tell it from the others.
        outcome: what became of it so far.
        host: the machine that works on it, or did.
        pid: its process there.
    """

    number: int
    words: Sequence[str]
    name: str
    outcome: Outcome = field(default_factory=lambda: Outcome("not started"))
    host: str = ""
    pid: int = 0

    def with_outcome(self, outcome: Outcome) -> Record:
        """The same run with what became of it."""
        return replace(self, outcome=outcome)

    def is_running(self) -> bool:
        """Whether its process is there, as far as this machine can tell."""
        if self.outcome.ending != "running" or self.host != socket.gethostname():
            return self.outcome.ending == "running"
        return is_alive(self.pid)

    def line(self) -> str:
        """One line about it."""
        outcome = self.outcome
        score = "" if outcome.score is None else f", {outcome.measure} {outcome.score:.2f}"
        reason = f": {outcome.reason}" if outcome.reason else ""
        return f"run {self.number} {outcome.ending}{score}: {self.name}{reason}"

    @staticmethod
    def path(directory: Path, number: int) -> Path:
        """Where the record of a sweep's run is."""
        return directory / "runs" / f"{number:04d}.json"

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return {**asdict(self), "words": list(self.words)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Record:
        """The reverse; raises LookupError or TypeError for anything else."""
        return cls(**{**content, "outcome": Outcome(**content["outcome"])})

    def write(self, path: Path) -> None:
        """Put it there, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, self.as_dict())

    @classmethod
    def read(cls, path: Path) -> Record:
        """What was written there; raises QamError for anything else."""
        try:
            return cls.from_dict(json.loads(path.read_text()))
        except (OSError, ValueError, LookupError, TypeError):
            raise QamError(f"'{path}' is no record of a sweep's run: remove it") from None
