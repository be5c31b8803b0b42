"""Atomic writing of checkpoint files: a file is complete or absent."""

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

    If the process is killed or the disk is full, the previous checkpoint remains.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save a checkpoint. If that is impossible, the previous file is kept and QamError is raised."""
        target = Path(path)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(target) as temporary, open(temporary, "wb") as file:
                torch.save(checkpoint, file)
                flush_to_disk(file)
        except (OSError, RuntimeError) as error:  # torch's zip writer reports a full disk as a RuntimeError
            remains = "the previous one is kept" if target.exists() else "there is none yet"
            raise QamError(
                f"could not save checkpoint '{target}' ({error}); {remains}: free some disk space"
            ) from error
