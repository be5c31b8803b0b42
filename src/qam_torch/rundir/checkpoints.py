"""Checkpoints that are either whole or not there, and that say what they are."""

from __future__ import annotations

import contextlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

import qam_torch
from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.signatures import arguments_of_member
from qam_torch.algorithms.lookup import method_named, name_of
from qam_torch.config.population import Member, find_member, members_of
from qam_torch.types import QamError

__all__ = [
    "SECTION",
    "AtomicCheckpointIO",
    "describe",
    "index_of",
    "load_algorithm",
    "members_in",
    "read_checkpoint",
    "require_same_run",
]

SECTION = "qam_torch"
"""Key of a checkpoint's own description: library version, algorithm and its arguments, environment, data."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file beside the target, flushes it to disk, then renames it.

    A kill at any moment, or a full disk, leaves the previous checkpoint as it was.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Save, or raise QamError and leave the previous file alone."""
        target = Path(path)
        temporary = target.with_name(f".{target.name}.tmp")  # one name, so that a kill leaves no more than one
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except (OSError, RuntimeError) as error:  # torch's zip writer reports a full disk as a RuntimeError
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            kept = "the previous one is kept" if target.exists() else "there is none yet"
            raise QamError(f"could not save checkpoint '{target}' ({error}); {kept}: free some disk space") from error


def describe(
    algorithm: Algorithm, arguments: Mapping[str, Any], run: Mapping[str, Any], online: Mapping[str, Any]
) -> dict[str, Any]:
    """A checkpoint's description: enough to rebuild the algorithm, and to see whether it belongs to a run.

    arguments  the algorithm's constructor arguments, plain values
    run        environment, task, reward, data set and its hash, batch size
    online     what only matters once the online phase has begun
    """
    return {
        "version": qam_torch.__version__,
        "algorithm": name_of(type(algorithm)),
        "arguments": dict(arguments),
        "run": dict(run),
        "online": dict(online),
    }


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Load a checkpoint file on the CPU, without unpickling anything but tensors and plain values.

    path  of the file, or of a run's directory, whose last checkpoint is taken

    Raises QamError when it is missing, damaged, not one of this library's, or of another library version.
    """
    if os.path.isdir(path):
        path = os.path.join(path, "checkpoints", "last.ckpt")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise QamError(f"no checkpoint at '{path}': give a run's directory, or a .ckpt file of it") from None
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise QamError(f"'{path}' is not a readable checkpoint ({reason}): use another one of the run") from None
    if not isinstance(checkpoint, dict) or SECTION not in checkpoint:
        raise QamError(f"'{path}' is no checkpoint of qam_torch: give a .ckpt file of a run")
    version = str(checkpoint[SECTION].get("version"))
    if version.split(".")[:2] != qam_torch.__version__.split(".")[:2]:
        raise QamError(
            f"'{path}' was written by qam_torch {version}, this is {qam_torch.__version__}: "
            f"install qam-torch=={version} or train anew"
        )
    missing = {"algorithm", "arguments", "step", "offline_steps", "diverged"} - checkpoint[SECTION].keys()
    missing |= {"divergence"} - checkpoint.keys()
    if missing:
        raise QamError(
            f"'{path}' was written by an earlier qam_torch {version} ({min(missing)} is missing): train anew"
        )
    return checkpoint


def load_algorithm(checkpoint: Mapping[str, Any], member: int | None = None) -> Algorithm:
    """Rebuild the algorithm of a checkpoint, all members or one of them as an ordinary population of one.

    A method that is not the library's own is imported by its name.

    Raises QamError when there is no such member or algorithm.
    """
    arguments = dict(checkpoint[SECTION]["arguments"])
    state = checkpoint["state_dict"]
    kind = _kind_of(checkpoint)
    if member is not None:
        index_of(checkpoint, member)
        arguments = arguments_of_member(kind, arguments, member)
    algorithm = kind(**arguments)
    if member is not None:  # alone it may be without a network that its numbers make no use of
        own = algorithm.state_dict().keys()
        state = {name: value[member : member + 1] for name, value in state.items() if name in own}
    try:
        algorithm.to(next(iter(state.values())).dtype).load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:160]
        raise QamError(f"the checkpoint's parameters do not fit its own settings ({reason}): use another one") from None
    return algorithm


def members_in(checkpoint: Mapping[str, Any]) -> list[Member]:
    """The members that a checkpoint holds, in their order."""
    return members_of(_kind_of(checkpoint), checkpoint[SECTION]["arguments"])


def index_of(
    checkpoint: Mapping[str, Any], member: int | str | None, address: Mapping[str, float] | None = None
) -> int:
    """The one member that is meant, see `find_member`."""
    return find_member(members_in(checkpoint), member, address)


def _kind_of(checkpoint: Mapping[str, Any]) -> type[Algorithm]:
    name = checkpoint[SECTION]["algorithm"]
    return method_named(name, f"the checkpoint's method {name}")


def require_same_run(path: Path, checkpoint: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    """Raise QamError unless a checkpoint was written by a run of this description."""
    saved = checkpoint[SECTION]
    pairs = [("algorithm", saved["algorithm"], description["algorithm"])]
    begun = saved["step"] > saved["offline_steps"]
    for part in ("arguments", "run", "online") if begun else ("arguments", "run"):
        names = saved[part].keys() | description[part].keys()
        pairs += [(name, saved[part].get(name), description[part].get(name)) for name in sorted(names)]
    for name, old, new in pairs:
        if _plain(old) != _plain(new):
            raise QamError(
                f"checkpoint '{path}' has {name}={old} but this run {name}={new}: give the same settings, "
                "or another run_dir, or resume=never"
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
