"""Write the files of exported policies. Each file is written completely or not at all."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qam_torch.export.metadata import KEY
from qam_torch.system.files import atomic_path

__all__ = ["write_onnx", "write_pt2", "write_safetensors"]


def _softplus(x: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Compute softplus from other operations. The result does not depend on the threshold."""
    return x.clamp(min=0) + torch.log1p(torch.exp(-beta * x.abs())) / beta


def _mish(x: Tensor) -> Tensor:
    return x * torch.tanh(_softplus(x))


def _addcmul(x: Tensor, one: Tensor, other: Tensor, value: float = 1.0) -> Tensor:
    return x + one * other * value if value != 1 else x + one * other


_COMPOSED = {
    torch.ops.aten.softplus.default: _softplus,
    torch.ops.aten.mish.default: _mish,
    torch.ops.aten.addcmul.default: _addcmul,
}
"""Functions that replace an operation by simpler ones.

This is needed if ONNX Runtime lacks an operation in float64, or if torch.onnx rounds its constants to float32."""


def _constants() -> dict[Any, Callable[..., Any]]:
    """Translate constants to ONNX in their own precision. By default, torch.onnx first rounds them to float32."""
    import onnx
    from onnxscript import opset18

    def constant(value: float, dtype: int) -> Any:
        return opset18.Constant(value=onnx.helper.make_tensor("", dtype, [], [value]))

    def scalar_tensor(s: float, dtype: int = 1, layout: str = "", device: str = "", pin_memory: bool = False) -> Any:
        return constant(s, dtype)

    def full(
        size: Any, fill_value: float, dtype: int = 1, layout: str = "", device: str = "", pin_memory: bool = False
    ) -> Any:
        return opset18.Expand(constant(fill_value, dtype), size)

    return {torch.ops.aten.scalar_tensor.default: scalar_tensor, torch.ops.aten.full.default: full}


def write_pt2(program: torch.export.ExportedProgram, metadata: str, path: Path) -> None:
    """Write a program that `torch.export.load` reads, with `qam_torch.json` among its extra files."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        torch.export.save(program, file, extra_files={f"{KEY}.json": metadata})


def write_onnx(program: torch.export.ExportedProgram, noise: Sequence[str], metadata: str, path: Path) -> None:
    """Write an ONNX model.

    Args:
        program: the exported program, whose inputs are observations and `noise`.
        noise: names of the inputs after the observations.
        metadata: JSON text that becomes an entry of the model's metadata.
        path: path of the file.
    """
    import onnx

    with _quiet():
        program = program.run_decompositions(_COMPOSED)
        exported = torch.onnx.export(
            program, (), input_names=["observations", *noise], output_names=["actions"], dynamo=True, verbose=False,
            custom_translation_table=_constants(),
        )  # fmt: skip
    assert exported is not None
    model = exported.model_proto
    _name_axes(model)
    onnx.helper.set_model_props(model, {KEY: metadata})
    onnx.checker.check_model(model)
    with atomic_path(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


def write_safetensors(weights: Mapping[str, Tensor], metadata: str, path: Path) -> None:
    """Write named tensors, with one entry of metadata."""
    from safetensors.torch import save_file

    with atomic_path(path) as temporary:
        save_file({name: one.contiguous() for name, one in weights.items()}, temporary, {KEY: metadata})


def _name_axes(model: Any) -> None:
    """Rename the batch axis of inputs, outputs and intermediate values from torch's symbol to "batch"."""
    symbol = model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param == symbol:
                axis.dim_param = "batch"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress torch.onnx's messages about optional packages and optimizations."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
