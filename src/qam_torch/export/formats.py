"""Export a checkpoint's policy to a file that can be used without qam_torch."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from qam_torch.algorithms import Algorithm
from qam_torch.export.files import write_onnx, write_pt2, write_safetensors
from qam_torch.export.metadata import input_descriptions, metadata_of
from qam_torch.export.program import PolicyProgram, traced
from qam_torch.inference.load_algorithm import load_algorithm, member_index, members_in
from qam_torch.rundir.checkpoints import checkpoint_path, read_checkpoint
from qam_torch.system.extras import install_command
from qam_torch.system.files import absolute, prepare_directory
from qam_torch.types import QamError, require

__all__ = ["FORMATS", "export_policy"]


class Format(NamedTuple):
    """An export format.

    Attributes:
        packages: optional packages that the format requires.
        write: function that writes an algorithm of one member, with metadata, to a path.
    """

    packages: tuple[str, ...]
    write: Callable[[Algorithm, dict[str, Any], Path], None]


def _write_pt2(algorithm: Algorithm, metadata: dict[str, Any], path: Path) -> None:
    program = PolicyProgram(algorithm, metadata["action_space"]["shape"][0])
    write_pt2(traced(program), json.dumps({**metadata, **input_descriptions(program)}), path)


def _write_onnx(algorithm: Algorithm, metadata: dict[str, Any], path: Path) -> None:
    program = PolicyProgram(algorithm, metadata["action_space"]["shape"][0])
    write_onnx(traced(program), list(program.noise), json.dumps({**metadata, **input_descriptions(program)}), path)


def _write_safetensors(algorithm: Algorithm, metadata: dict[str, Any], path: Path) -> None:
    write_safetensors(algorithm.state_dict(), json.dumps(metadata), path)


FORMATS: Mapping[str, Format] = {
    "pt2": Format((), _write_pt2),
    "onnx": Format(("onnx", "onnxscript"), _write_onnx),
    "safetensors": Format(("safetensors",), _write_safetensors),
}
"""Format of each name. The name is also the suffix of the file."""


def export_policy(
    path: str | os.PathLike[str],
    format: str = "onnx",
    output: str | os.PathLike[str] | None = None,
    member: int | str | None = None,
    **address: float,
) -> Path:
    """Write one member's policy to a file, with its metadata: spaces, chunk length, normalization and provenance.

    A "pt2" or "onnx" file holds a program. Its inputs are observations (B, O) of the environment and the noise of
    action selection. Its outputs are action chunks (B, h, A) in [-1, 1]. A "safetensors" file holds only the weights.

    Args:
        path: path of a .ckpt file, or of a run directory, whose last checkpoint is exported.
        format: one of the names in `FORMATS`.
        output: path of the file to write. None writes it beside the checkpoint and derives its name from the
            checkpoint, the member (if there are several) and the format.
        member: member of the population, see `load_policy`.
        **address: address of the member as keywords, see `load_policy`.

    Returns:
        The path of the written file.

    Raises:
        QamError: the checkpoint cannot be used, no member or several members match, a package is missing, the policy
            cannot be exported, or the file cannot be written.
    """
    require("format", format in FORMATS, format, ", ".join(FORMATS))
    missing = [name for name in FORMATS[format].packages if importlib.util.find_spec(name) is None]
    if missing:
        raise QamError(f"format {format} requires the package {missing[0]}: {install_command('export')}")
    source, checkpoint = checkpoint_path(path), read_checkpoint(path)
    index = member_index(checkpoint, member, address)
    members = members_in(checkpoint)
    own = f".{members[index].name}" if len(members) > 1 else ""
    target = source.with_name(f"{source.stem}{own}.{format}") if output is None else absolute(output)
    prepare_directory(target.parent, "directory", "another output")
    algorithm = load_algorithm(checkpoint, index)
    metadata = metadata_of(checkpoint, source, algorithm, members[index], FORMATS[format].packages)
    try:
        FORMATS[format].write(algorithm, metadata, target)
    except OSError as error:
        raise QamError(f"could not write '{target}' ({error.strerror}): free some disk space") from error
    return target
