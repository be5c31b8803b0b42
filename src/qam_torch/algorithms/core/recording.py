"""Record the differentiated losses once as a flat list of tensor operations, and replay it.

The losses depend only on parameters, batch and noise, so the operations of losses and gradients are the same at every
update. A replay needs no Python code of the method, no autograd and no torch.func. For small networks on a CPU these
take most of the time. Results are bitwise equal (checked by tests).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from qam_torch.algorithms.core.gpu_passes import GPU_PASSES
from qam_torch.algorithms.core.loss_terms import LossTerm
from qam_torch.algorithms.core.recording_passes import (
    SIMPLIFICATIONS,
    add_products_in_place,
    drop_unused,
    use_python_bindings,
)
from qam_torch.algorithms.core.tracing_internals import light_tracing
from qam_torch.types import Batch, Noise

__all__ = ["Differentiable", "RecordedGradients", "record"]

Rewrite = Callable[[fx.GraphModule], None]


def record(function: Callable[..., Any], example: Sequence[Tensor]) -> fx.GraphModule:
    """Record a function as a flat list of tensor operations for the example's shapes, devices and dtypes.

    Args:
        function: takes tensors, returns lists of tensors, and never branches on a tensor's values.
        example: tensors to trace with.
    """
    return _finish(_trace(function, example))


def _trace(function: Callable[..., Any], example: Sequence[Tensor]) -> fx.GraphModule:
    """Trace a function and simplify its operations. The module has no generated code and cannot be called."""
    # Use one thread: recording modes are thread-local, but autograd would use another thread for a GPU.
    with light_tracing(), torch.autograd.set_multithreading_enabled(False):
        module = make_fx(function)(*example)
        _rewrite(module, SIMPLIFICATIONS)
    return module


def _finish(
    module: fx.GraphModule, rewrites: Sequence[Rewrite] = (), outputs: Sequence[int] | None = None
) -> fx.GraphModule:
    """Copy and rewrite a module, so that calls have little overhead. The copy shares the parameters.

    Args:
        module: from `_trace`.
        rewrites: graph rewrites that are applied to the copy.
        outputs: indices of the results to return, or None for all.
    """
    graph = fx.Graph()
    returned: Any = graph.graph_copy(module.graph, {})
    graph.output(returned if outputs is None else [returned[index] for index in outputs])
    finished = _Module(module, graph)
    drop_unused(finished)
    _rewrite(finished, [*rewrites, add_products_in_place])
    use_python_bindings(finished)  # last, because torch does not know which of these functions write in place
    finished.is_finished = True
    finished.recompile()
    return finished


class _Module(fx.GraphModule):
    """A module whose code is generated only once, when its graph is finished."""

    is_finished = False

    def recompile(self) -> Any:
        """Generate the code, if the graph is finished."""
        return super().recompile() if self.is_finished else None


def _rewrite(module: fx.GraphModule, rewrites: Sequence[Rewrite]) -> None:
    for rewrite in rewrites:
        rewrite(module)
        module.graph.eliminate_dead_code()


class Differentiable(Protocol):
    """The recorded part of an algorithm: its losses with their gradients, and its report."""

    def gradients(self, batch: Batch, noise: Noise) -> tuple[list[LossTerm], list[Tensor | None]]:
        """The loss terms, and their gradients in the order of `networks.parameters()`."""
        ...

    def report(self, terms: Sequence[LossTerm], diagnose: bool) -> dict[str, Tensor]:
        """Losses or metrics by name, (P,) each."""
        ...


class RecordedGradients:
    """Losses, metrics and gradients of an algorithm as a recorded graph, for one batch shape.

    Args:
        algorithm: the algorithm. Replays read its parameters in place, so they must stay in the same memory.
        batch: an example. Replays take tensors of the same shapes.
        noise: an example. Replays take tensors of the same shapes.
        diagnose: whether to return all metrics, not only the losses.
    """

    def __init__(self, algorithm: Differentiable, batch: Batch, noise: Noise, diagnose: bool) -> None:
        self._prepare(_Traced(algorithm, batch, noise, (diagnose,)), diagnose)

    @classmethod
    def of_both_kinds(cls, algorithm: Differentiable, batch: Batch, noise: Noise) -> dict[bool, RecordedGradients]:
        """Record the operations once, which takes most of the time; returns diagnose -> recorded gradients."""
        traced, both = _Traced(algorithm, batch, noise, (False, True)), {}
        for diagnose in (False, True):
            both[diagnose] = cls.__new__(cls)
            both[diagnose]._prepare(traced, diagnose)
        return both

    def _prepare(self, traced: _Traced, diagnose: bool) -> None:
        self._traced, self.draws = traced, traced.draws
        self.names, self._outputs = traced.returned(diagnose)
        self.rewrite(for_gpu=False)

    def rewrite(self, for_gpu: bool) -> None:
        """Rewrite the graph for a GPU with fewer kernels (see `gpu_passes`), or restore it as recorded.

        With fewer kernels, results are equal up to rounding.
        """
        self.module = _finish(self._traced.module, GPU_PASSES if for_gpu else (), self._outputs)
        self.run: Callable[..., Any] = self.module.forward

    def compile(self) -> None:
        """Let torch.compile fuse the recorded operations.

        This needs a C++ compiler and takes half a minute or more the first time. Results are equal up to rounding, not
        bitwise. Dynamo compiles the recorded module at its first call. The module is not registered as a submodule, so
        no parameter is renamed.
        """
        self.run = torch.compile(self.module, fullgraph=True, dynamic=False)

    @torch.no_grad()
    def __call__(self, batch: Batch, noise: Noise) -> tuple[dict[str, Tensor], list[Tensor | None]]:
        """Replay; returns name -> (P,) losses or metrics, and gradients in the order of `networks.parameters()`."""
        outputs = self.run(*batch, *(noise[name] for name in self.draws))
        split = len(outputs) - len(self.names)
        return dict(zip(self.names, outputs[split:], strict=True)), outputs[:split]


class _Traced:
    """The traced gradients and reports of an algorithm.

    Args:
        algorithm: see `RecordedGradients`.
        batch: see `RecordedGradients`.
        noise: see `RecordedGradients`.
        kinds: values of `diagnose` for which the report is traced.
    """

    def __init__(self, algorithm: Differentiable, batch: Batch, noise: Noise, kinds: Sequence[bool]) -> None:
        self.draws = tuple(noise)
        self._indices: dict[bool, dict[str, int]] = {}

        def differentiate(*tensors: Tensor) -> list[Tensor | None]:
            given = Batch(*tensors[: len(batch)])
            terms, outputs = algorithm.gradients(given, dict(zip(noise, tensors[len(batch) :], strict=True)))
            self._gradients, outputs = len(outputs), list(outputs)
            for diagnose in kinds:
                report = algorithm.report(terms, diagnose)
                self._indices[diagnose] = {name: len(outputs) + index for index, name in enumerate(report)}
                outputs += report.values()
            return outputs

        self.module = _trace(differentiate, [*batch, *noise.values()])

    def returned(self, diagnose: bool) -> tuple[list[str], list[int]]:
        """Names of the reported values, and indices of all gradients and reported values among the outputs."""
        indices = self._indices[diagnose]
        return list(indices), [*range(self._gradients), *indices.values()]
