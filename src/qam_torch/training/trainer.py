"""Lightning's Trainer with the settings of a run: quiet, interruptible, and without Lightning's checkpoints."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from pathlib import Path

import lightning as L
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException

from qam_torch.algorithms import Algorithm
from qam_torch.data.datamodule import TrainingData
from qam_torch.training.checkpoint_io import AtomicCheckpointIO
from qam_torch.types import QamError

__all__ = ["build_trainer", "quiet_lightning", "train"]


def quiet_lightning() -> None:
    """Silence Lightning's messages. The run prints their content itself."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


def build_trainer(accelerator: str, devices: int | list[int]) -> L.Trainer:
    """The trainer of a run.

    Args:
        accelerator: "auto" (a CUDA GPU if there is one, otherwise the CPU), "gpu", "cpu", or another accelerator of
            Lightning.
        devices: 1, or a list of one index.

    Raises:
        QamError: the accelerator cannot be used.
    """
    try:
        return L.Trainer(
            accelerator=_lightning_name(accelerator),
            devices=devices,
            precision="32-true",  # Lightning converts nothing; the key `precision` sets the networks' dtype
            # One process. Under Slurm, Lightning would otherwise requeue the job.
            plugins=[AtomicCheckpointIO(), LightningEnvironment()],
            max_epochs=1,
            max_steps=-1,  # the data module ends the run
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )
    except (MisconfigurationException, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise QamError(f"trainer.accelerator={accelerator} cannot be used here ({reason}): try trainer=auto") from None


def _lightning_name(accelerator: str) -> str:
    """Lightning's name of the accelerator.

    Lightning's "auto" and "gpu" can select an Apple GPU. Those have no float64, which hyperparameters that differ
    between members need.
    """
    if accelerator == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return "cuda" if accelerator == "gpu" else accelerator


def train(trainer: L.Trainer, algorithm: Algorithm, module: TrainingData, checkpoint: Path | None) -> None:
    """Run Lightning's fit. After an interrupt or a signal it would exit; raise KeyboardInterrupt instead."""
    main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main_thread else None
    try:
        trainer.fit(algorithm, datamodule=module, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        interrupt = error.__context__
        if not isinstance(interrupt, KeyboardInterrupt):
            raise
        raise interrupt from None
    finally:
        if handler is not None:
            signal.signal(signal.SIGINT, handler)  # Lightning leaves Ctrl-C ignored
