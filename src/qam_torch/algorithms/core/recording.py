"""Record the differentiated losses once as a flat list of tensor operations, and replay it.

The losses are a closed function of (parameters, batch, noise), so their operations and those of their gradients are the
same at every update. Recording them removes Python, autograd and torch.func from the loop, which take most time in
a small network on a CPU. Operations and results are identical, bit for bit (checked by tests).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from qam_torch.algorithms.core.gpu_passes import GPU_PASSES
from qam_torch.algorithms.core.loss_terms import LossTerm
from qam_torch.algorithms.core.recording_passes import SIMPLIFICATIONS, add_products_in_place, use_python_bindings
from qam_torch.algorithms.core.tracing_internals import shared_fake_mode
from qam_torch.types import Batch, Noise

__all__ = ["Differentiable", "RecordedGradients", "record"]

Rewrite = Callable[[fx.GraphModule], None]


def record(function: Callable[..., Any], example: Sequence[Tensor]) -> fx.GraphModule:
    """Record a function as a flat list of tensor operations for the example's shapes, devices and dtypes.

    Args:
        function: takes tensors, returns lists of tensors, and never branches on a tensor's values.
        example: tensors to trace with.
    """
    return _finished(_traced(function, example))


def _traced(function: Callable[..., Any], example: Sequence[Tensor]) -> fx.GraphModule:
    """The function's operations, simplified."""
    # In one thread: the recording modes are thread-local, and autograd would use another thread for a GPU.
    with shared_fake_mode(), torch.autograd.set_multithreading_enabled(False):
        module = make_fx(function)(*example)
    return _rewritten(module, SIMPLIFICATIONS)


def _finished(module: fx.GraphModule, rewrites: Sequence[Rewrite] = ()) -> fx.GraphModule:
    """A rewritten copy with low call overhead, which shares the parameters."""
    graph = fx.Graph()
    graph.output(graph.graph_copy(module.graph, {}))
    return _rewritten(fx.GraphModule(module, graph), [*rewrites, add_products_in_place, use_python_bindings])


def _rewritten(module: fx.GraphModule, rewrites: Sequence[Rewrite]) -> fx.GraphModule:
    for rewrite in rewrites:
        rewrite(module)
        module.graph.eliminate_dead_code()
    module.recompile()
    return module


class Differentiable(Protocol):
    """The recorded part of an algorithm: its losses with their gradients, and its report."""

    def gradients(self, batch: Batch, noise: Noise) -> tuple[list[LossTerm], list[Tensor | None]]:
        """The loss terms, and their gradients in the order of `networks.parameters()`."""
        ...

    def report(self, terms: Sequence[LossTerm], diagnose: bool) -> dict[str, Tensor]:
        """Losses or metrics by name, (P,) each."""
        ...


class RecordedGradients:
    """Losses, metrics and gradients of an algorithm as a recorded graph, for one shape of batch.

    Args:
        algorithm: its parameters are read in place at every replay; they must not move to other memory afterwards.
        batch: an example; a replay takes tensors of the same shapes.
        noise: an example; a replay takes tensors of the same shapes.
        diagnose: record all metrics, not only the losses.
    """

    def __init__(self, algorithm: Differentiable, batch: Batch, noise: Noise, diagnose: bool) -> None:
        names: list[str] = []

        def differentiate(*tensors: Tensor) -> list[Tensor | None]:
            given = Batch(*tensors[: len(batch)])
            terms, gradients = algorithm.gradients(given, dict(zip(noise, tensors[len(batch) :], strict=True)))
            report = algorithm.report(terms, diagnose)
            names[:] = report
            return [*gradients, *report.values()]

        self.traced = _traced(differentiate, [*batch, *noise.values()])
        self.module = _finished(self.traced)
        self.run: Callable[..., Any] = self.module.forward
        self.names, self.draws = names, tuple(noise)

    def rewrite(self, for_gpu: bool) -> None:
        """Use fewer kernels (see `gpu_passes`), equal up to rounding; or replay as recorded."""
        self.module = _finished(self.traced, GPU_PASSES if for_gpu else ())
        self.run = self.module.forward

    def compile(self) -> None:
        """Let torch.compile fuse the recorded operations.

        That needs a C++ compiler and half a minute the first time; results then agree up to rounding, not bit for
        bit. Dynamo compiles the recorded module in its first call. The module is not registered, so no parameter
        is renamed.
        """
        self.run = torch.compile(self.module, fullgraph=True, dynamic=False)

    @torch.no_grad()
    def __call__(self, batch: Batch, noise: Noise) -> tuple[dict[str, Tensor], list[Tensor | None]]:
        """Returns name -> (P,) losses or metrics, and gradients in the order of `networks.parameters()`."""
        outputs = self.run(*batch, *(noise[name] for name in self.draws))
        split = len(outputs) - len(self.names)
        return dict(zip(self.names, outputs[split:], strict=True)), outputs[:split]
