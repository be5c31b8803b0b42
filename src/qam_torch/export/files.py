"""The files of exported policies; each is written completely or not at all."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qam_torch.export.metadata import KEY
from qam_torch.system.files import atomic_path

__all__ = ["write_onnx", "write_pt2", "write_safetensors"]


def write_pt2(program: torch.export.ExportedProgram, metadata: str, path: Path) -> None:
    """Write a program that `torch.export.load` reads, with `qam_torch.json` among its extra files."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.export.save(program, file, extra_files={f"{KEY}.json": metadata})  # type: ignore[arg-type]


def write_onnx(program: torch.export.ExportedProgram, noise: Sequence[str], metadata: str, path: Path) -> None:
    """Write an ONNX model.

    Args:
        program: with the inputs observations and `noise`.
        noise: names of the inputs after the observations.
        metadata: JSON text, an entry of the model's metadata.
        path: of the file.
    """
    import onnx

    with _quiet():
        exported = torch.onnx.export(
            program, (), input_names=["observations", *noise], output_names=["actions"], dynamo=True, verbose=False
        )
    assert exported is not None
    model = exported.model_proto
    _name_axes(model)
    onnx.helper.set_model_props(model, {KEY: metadata})
    onnx.checker.check_model(model)
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def write_safetensors(weights: Mapping[str, Tensor], metadata: str, path: Path) -> None:
    """Write tensors by name, with an entry of metadata."""
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        save_file({name: one.contiguous() for name, one in weights.items()}, temporary, {KEY: metadata})


def _name_axes(model: Any) -> None:
    """Call the first axis of inputs and output "batch", wherever torch's symbol for it stands."""
    symbol = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == symbol:
                axis.dim_param = "batch"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without torch.onnx's remarks on optional packages and optimizations."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
