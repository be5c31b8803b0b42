"""What an earlier run in the same directory has left to go on from: its last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from qam_torch.rundir.checkpoints import SECTION, read_checkpoint
from qam_torch.training.finished_run import continues
from qam_torch.types import QamError

__all__ = ["Saved", "saved_run", "trainer_steps_of"]


def trainer_steps_of(content: dict[str, Any]) -> int:
    """Trainer steps that Lightning counts in a checkpoint: all but one in the middle of which it was saved."""
    progress = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["current"]
    return progress["ready"] if progress["processed"] == progress["ready"] else progress["completed"]


class Saved(NamedTuple):
    """The checkpoint that a run continues from, and what is in it."""

    path: Path
    content: dict[str, Any]

    @property
    def step(self) -> int:
        """Steps made: updates of the offline phase, and environment steps on top."""
        return self.content[SECTION]["step"]

    @property
    def offline_steps(self) -> int:
        """Length of its offline phase."""
        return self.content[SECTION]["offline_steps"]

    @property
    def trainer_steps(self) -> int:
        """Trainer steps made."""
        return trainer_steps_of(self.content)


def saved_run(directory: Path, config: DictConfig) -> Saved | None:
    """The last checkpoint, if there is one and the run is to be continued.

    Raises QamError for one that is damaged, or beyond the steps asked for.
    """
    path = directory / "checkpoints" / "last.ckpt"
    if not continues(config) or not path.is_file():
        return None
    saved = Saved(path, read_checkpoint(path))
    online, made = saved.step - saved.offline_steps, min(saved.step, saved.offline_steps)
    if config.init_from is None and made > config.offline_steps:
        raise QamError(
            f"checkpoint '{path}' has {made} updates but offline_steps={config.offline_steps}: give at least as many"
        )
    if online > 0 and config.init_from is None and made != config.offline_steps:
        raise QamError(
            f"checkpoint '{path}' is past its offline_steps={made} but this run has "
            f"offline_steps={config.offline_steps}: give the same"
        )
    if online > config.online_steps:
        raise QamError(
            f"checkpoint '{path}' has {online} environment steps but online_steps={config.online_steps}: "
            "give at least as many"
        )
    return saved
