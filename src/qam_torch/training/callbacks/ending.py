"""Signals that end the process, during training."""

from __future__ import annotations

import lightning as L

from qam_torch.system.signals import Ending

__all__ = ["EndingCallback"]


class EndingCallback(L.Callback):
    """Receives SIGTERM and SIGHUP in place of Lightning, which would end the run as if it had finished.

    Args:
        ending: the run's ending; `EvaluationCallback` and `CheckpointCallback` act on it.
    """

    def __init__(self, ending: Ending) -> None:
        self.ending = ending

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Replace the handlers that the Trainer has just installed; it restores the earlier ones itself."""
        self.ending.begin()
