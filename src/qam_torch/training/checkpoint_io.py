"""Checkpoint files that are complete or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from qam_torch.system.files import atomic_path, flush_to_disk
from qam_torch.types import QamError

__all__ = ["AtomicCheckpointIO"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file, flushes it to disk, and renames it.

    A kill at any moment, or a full disk, leaves the previous checkpoint as it was.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save; raises QamError, and keeps the previous file, where that is impossible."""
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as temporary, open(temporary, "wb") as file:
                torch.save(checkpoint, file)
                flush_to_disk(file)
        except (OSError, RuntimeError) as error:  # torch's zip writer reports a full disk as a RuntimeError
            kept = "the previous one is kept" if target.exists() else "there is none yet"
            raise QamError(f"could not save checkpoint '{target}' ({error}); {kept}: free some disk space") from error
