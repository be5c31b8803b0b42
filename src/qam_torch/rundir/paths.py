"""The names of the files in a run directory, in one place."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["RunPaths"]


class RunPaths:
    """The files of one run.

    Args:
        directory: the run directory; need not exist.
    """

    CHECKPOINTS = "checkpoints"
    CONFIG = "config.yaml"
    METRICS = "metrics.csv"
    SUMMARY = "summary.json"
    MARKS = (CONFIG, METRICS, SUMMARY, CHECKPOINTS)
    """Names by which a directory is recognized as a run directory."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.config = self.directory / self.CONFIG  # the resolved configuration
        self.versions = self.directory / "versions.json"
        self.metrics = self.directory / self.METRICS
        self.summary = self.directory / self.SUMMARY  # exists only in a finished run
        self.failure = self.directory / "failed.txt"  # why a run stopped, for example a divergence
        self.tensorboard = self.directory / "tensorboard"
        self.plots = self.directory / "plots"
        self.checkpoints = self.directory / self.CHECKPOINTS
        self.last_checkpoint = self.checkpoints / "last.ckpt"
        self.best_checkpoint = self.checkpoints / "best.ckpt"
        self.replay_log = self.checkpoints / "replay.bin"  # transitions collected online
