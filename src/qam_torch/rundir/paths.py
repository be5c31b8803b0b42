"""Names of the files in a run directory."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["RunPaths"]


class RunPaths:
    """Paths of the files of one run.

    Args:
        directory: path of the run directory, which need not exist.
    """

    CHECKPOINTS = "checkpoints"
    CONFIG = "config.yaml"
    METRICS = "metrics.csv"
    SUMMARY = "summary.json"
    MARKS = (CONFIG, METRICS, SUMMARY, CHECKPOINTS)
    """Names that identify a directory as a run directory."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.config = self.directory / self.CONFIG  # the resolved configuration
        self.versions = self.directory / "versions.json"
        self.metrics = self.directory / self.METRICS
        self.summary = self.directory / self.SUMMARY  # exists only in a finished run
        self.failure = self.directory / "failed.txt"  # the reason why a run stopped, e.g. divergence
        self.tensorboard = self.directory / "tensorboard"
        self.plots = self.directory / "plots"
        self.checkpoints = self.directory / self.CHECKPOINTS
        self.last_checkpoint = self.checkpoints / "last.ckpt"
        self.best_checkpoint = self.checkpoints / "best.ckpt"
        self.replay_log = self.checkpoints / "replay.bin"  # transitions collected online
