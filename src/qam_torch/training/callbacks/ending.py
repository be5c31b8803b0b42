"""Handle signals that end the process during training."""

from __future__ import annotations

import lightning as L

from qam_torch.system.signals import Ending

__all__ = ["EndingCallback"]


class EndingCallback(L.Callback):
    """Receives SIGTERM and SIGHUP instead of Lightning, which would end the run as if it had finished.

    Args:
        ending: signal handling of the run. `EvaluationCallback` and `CheckpointCallback` end the run after a signal.
    """

    def __init__(self, ending: Ending) -> None:
        self.ending = ending

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Replace the handlers that the Trainer has just installed. The Trainer later restores the earlier handlers."""
        self.ending.begin()
