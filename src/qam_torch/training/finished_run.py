"""Find runs that are already finished. This module does not import torch, so that the command returns quickly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError  # type: ignore[import-untyped]

from qam_torch.rundir.paths import RunPaths
from qam_torch.rundir.renamed_keys import with_current_keys
from qam_torch.rundir.result_keys import COPIED, NEUTRAL
from qam_torch.types import QamError

__all__ = ["finished_run", "uses_earlier_run"]


def uses_earlier_run(values: Mapping[str, Any]) -> bool:
    """Whether the run uses files of an earlier run in its directory."""
    return bool(values["resume"] == "auto" or values["skip_completed"])


def finished_run(paths: RunPaths, values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the summary of the configured run if it is already finished and may be reused, otherwise None.

    If the configuration has more steps than the finished run, the run counts as unfinished.

    Args:
        paths: paths of the run directory.
        values: the resolved configuration as plain values.

    Raises:
        QamError: the finished run had other settings, or its files are damaged.
    """
    path = paths.summary
    if not uses_earlier_run(values) or not path.is_file():
        return None
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
        before = with_current_keys(OmegaConf.to_container(OmegaConf.load(paths.config)))  # type: ignore[arg-type]
    except (OSError, ValueError, YAMLError):
        raise QamError(f"'{path}' or config.yaml beside it is damaged: remove both, or give another run_dir") from None
    shorter = summary.get("offline_steps", summary["updates"]) < values["offline_steps"]
    if (shorter and values["init_from"] is None) or summary.get("online_steps", 0) < values["online_steps"]:
        return None
    for name, old, new in _differences(before, with_current_keys(values)):
        raise QamError(
            f"the finished run in '{paths.directory}' has {name}={old} but this run {name}={new}: give the same "
            "settings, or another run_dir, or resume=false"
        )
    return summary


def _differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (key, old, new) for values that differ between two configurations.

    Names, and keys that do not change a result, are not compared.
    """
    if name in (*NEUTRAL, *COPIED, "experiment_name", "run_name"):
        return
    if old is None and isinstance(new, dict):
        old = {}  # a group that an earlier version did not have
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(key), new.get(key), f"{name}.{key}" if name else key)
    elif old != new and not (old is None and new in ({}, [])):  # a key that an earlier version did not have
        yield name, old, new
