"""How a run's updates are made, beside the versions of its packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L

from qam_torch.algorithms import Algorithm
from qam_torch.rundir.versions import versions
from qam_torch.system.files import write_json

__all__ = ["VersionsCallback"]


class VersionsCallback(L.Callback):
    """Adds to versions.json how updates are made: after the first trainer step, and where that changes.

    Args:
        path: the file versions.json.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written = ""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Write the file where the outcome is a new one."""
        assert isinstance(pl_module, Algorithm)
        if pl_module.capture_outcome != self._written:
            self._written = pl_module.capture_outcome
            write_json(self.path, {**versions(pl_module.device), "capture": self._written})
