"""What an earlier run in the same directory has left: a finished run, or a checkpoint to go on from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError  # type: ignore[import-untyped]

from qam_torch.experiment.checkpoints import SECTION, read_checkpoint
from qam_torch.experiment.configuration import NEUTRAL
from qam_torch.types import QamError

__all__ = ["Saved", "finished_run", "saved_run", "trainer_steps_of"]


def finished_run(directory: Path, config: DictConfig) -> dict[str, Any] | None:
    """The summary of a finished run, if this is one and it is to be continued.

    Raises QamError when the finished run had other settings; more updates are no other settings but a continuation.
    """
    path = directory / "summary.json"
    if config.resume != "auto" or not path.is_file():
        return None
    try:
        summary = json.loads(path.read_text())
        before = OmegaConf.to_container(OmegaConf.load(directory / "config.yaml"))
    except (OSError, ValueError, YAMLError):
        raise QamError(f"'{path}' or config.yaml beside it is damaged: remove both, or give another run_dir") from None
    longer = summary.get("offline_steps", summary["updates"]) < config.offline_steps and config.init_from is None
    if longer or summary.get("online_steps", 0) < config.online_steps:
        return None
    for name, old, new in _differences(before, OmegaConf.to_container(config, resolve=True)):
        raise QamError(
            f"the finished run in '{directory}' has {name}={old} but this run {name}={new}: give the same settings, "
            "or another run_dir, or resume=never"
        )
    return summary


def _differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Values that differ between two configurations, but for those that do not change a result."""
    if name in (*NEUTRAL, "run_name"):
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new:
        yield name, old, new


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
    if config.resume != "auto" or not path.is_file():
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
