"""The format of checkpoints: Lightning's content, and one section that describes the run."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from qam_torch.rundir.paths import RunPaths
from qam_torch.rundir.renamed_keys import ADDED_KEYS
from qam_torch.types import QamError

__all__ = ["FORMAT", "SECTION", "checkpoint_path", "read_checkpoint", "require_same_run"]

SECTION = "qam_torch"
"""Key of the section that describes a checkpoint: format, library version, algorithm and its arguments, environment,
data, and the steps made."""

RENAMED = (("run", "proportion", "fraction"), ("online", "buffer", "replay_mode"))
"""(Part of the section, old name, present name) of entries that were renamed within format 1."""

ADDED = (("run", "normalize", "none"),)
"""(Part of the section, name, value for earlier checkpoints) of entries that were added within format 1."""

ADDED_ARGUMENTS = {
    key.removeprefix("algo."): value for key, (_, value) in ADDED_KEYS.items() if key.startswith("algo.")
}
"""Argument of a method that earlier checkpoints lack -> the value that they used."""

KEYS = {"dtype": "precision", "fraction": "data.fraction", "normalize": "data.normalize"}
"""Entry of the section -> key of the configuration, if the two names differ."""

FORMAT = 1
"""Version of the format. It increases when older checkpoints need a conversion. The library reads all formats up to
this one (tests/rundir/test_checkpoint_format.py)."""


def checkpoint_path(path: str | os.PathLike[str]) -> Path:
    """The checkpoint file at a path. If the path is a run directory, it is the run's last checkpoint."""
    return RunPaths(path).last_checkpoint if os.path.isdir(path) else Path(path)


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Load a checkpoint file to the CPU. Only tensors and plain values are unpickled.

    Args:
        path: path of the file, or of a run directory, whose last checkpoint is read.

    Raises:
        QamError: the file is missing, damaged, not a checkpoint of this library, or has a newer format.
    """
    path = checkpoint_path(path)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise QamError(f"no checkpoint at '{path}': give a run's directory, or a .ckpt file of it") from None
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise QamError(f"'{path}' is not a readable checkpoint ({reason}): use another one of the run") from None
    if not isinstance(checkpoint, dict) or SECTION not in checkpoint:
        raise QamError(f"'{path}' is not a checkpoint of qam_torch: give a .ckpt file of a run")
    section = checkpoint[SECTION]
    version, number = section.get("version"), section.get("format")
    if number is None:
        raise QamError(
            f"'{path}' was written by an earlier qam_torch ({version}) without a format number: train again, or "
            "evaluate it with that version"
        )
    if number > FORMAT:
        raise QamError(
            f"'{path}' has checkpoint format {number}, written by qam_torch {version}; this version reads formats up "
            f"to {FORMAT}: install qam-torch=={version} or newer"
        )
    _modernize(section)
    return checkpoint


def _modernize(section: dict[str, Any]) -> None:
    """Rename entries of an older checkpoint's section to their present names and add missing ones, in place."""
    for part, old, new in RENAMED:
        if old in section.get(part, ()):
            section[part][new] = section[part].pop(old)
    for part, name, value in ADDED:
        section[part].setdefault(name, value)


def require_same_run(path: Path, checkpoint: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Raise QamError unless a checkpoint was written by a run with the same description.

    Args:
        path: path of the checkpoint, for the message.
        checkpoint: its content.
        description: description of the present run, as it would write it. Its part `online` counts only once the
            checkpoint's online phase has begun.
    """
    saved = checkpoint[SECTION]
    pairs = [("algorithm", saved["algorithm"], description["algorithm"])]
    online = saved["step"] > saved["offline_steps"]
    for part in ("arguments", "run", "online") if online else ("arguments", "run"):
        names = saved[part].keys() | description[part].keys()
        missing = ADDED_ARGUMENTS if part == "arguments" else {}
        pairs += [
            (name, saved[part].get(name, missing.get(name)), description[part].get(name)) for name in sorted(names)
        ]
    for name, old, new in pairs:
        if _as_list(old) != _as_list(new):
            key = KEYS.get(name, name)
            raise QamError(
                f"checkpoint '{path}' has {key}={old} but this run {key}={new}: give the same settings, "
                "or another run_dir, or resume=false"
            )


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
