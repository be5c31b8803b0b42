"""Lightning loggers of a run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch.loggers import Logger, TensorBoardLogger
from omegaconf import DictConfig

from qam_torch.rundir.paths import RunPaths

__all__ = ["build_loggers"]


def build_loggers(config: DictConfig, paths: RunPaths, step: int) -> Sequence[Logger]:
    """The loggers that a configuration asks for.

    Args:
        config: of the run.
        paths: of the run directory.
        step: at which the run starts; events after it, which an interrupted run has left, are hidden.
    """
    loggers: list[Logger] = []
    if config.logger.tensorboard:
        _wait_for_next_second(paths.tensorboard)
        folder = paths.tensorboard
        loggers.append(TensorBoardLogger(folder.parent, name=folder.name, version="", purge_step=step + 1))
    if config.logger.wandb:
        from lightning.pytorch.loggers import WandbLogger

        loggers.append(WandbLogger(project=config.logger.wandb_project, save_dir=paths.directory, name=config.run_name))
    return loggers


def _wait_for_next_second(events: Path) -> None:
    """Open a new event file in a later second than the existing ones.

    TensorBoard reads event files in the order of their names, which begin with the second in which they were opened.
    Two files of the same second, of a run that was killed and resumed at once, could be read in the wrong order.
    """
    opened = [int(path.name.split(".")[3]) for path in events.glob("events.out.tfevents.*")]
    if opened:
        time.sleep(min(max(max(opened) + 1 - time.time(), 0.0), 1.0))
