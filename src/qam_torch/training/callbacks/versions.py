"""Add to versions.json how a run's updates are executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L

from qam_torch.algorithms import Algorithm
from qam_torch.rundir.versions import versions
from qam_torch.system.files import write_json

__all__ = ["VersionsCallback"]


class VersionsCallback(L.Callback):
    """Adds to versions.json how updates are executed, after the first trainer step and after each change.

    Args:
        path: path of versions.json.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = ""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the file if `capture_outcome` has changed."""
        assert isinstance(pl_module, Algorithm)
        if pl_module.capture_outcome != self._written:
            self._written = pl_module.capture_outcome
            write_json(self.path, {**versions(pl_module.device), "capture": self._written})
