"""Whether a run's directory holds what the run would come to; without torch, so that it is known at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError  # type: ignore[import-untyped]

from qam_torch.rundir.result_keys import NEUTRAL
from qam_torch.types import QamError

__all__ = ["continues", "finished_run"]


def continues(config: DictConfig) -> bool:
    """Whether what an earlier run has left in the directory counts."""
    return bool(config.resume == "auto" or config.skip_completed)


def finished_run(directory: Path, config: DictConfig) -> dict[str, Any] | None:
    """The summary of a finished run, if this is one and it is to be continued.

    Raises QamError when the finished run had other settings; more updates are no other settings but a continuation.
    """
    path = directory / "summary.json"
    if not continues(config) or not path.is_file():
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
