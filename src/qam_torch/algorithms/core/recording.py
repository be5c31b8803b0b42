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
    return _finished(_traced(function, example))


def _traced(function: Callable[..., Any], example: Sequence[Tensor]) -> fx.GraphModule:
    """The function's simplified operations; the module has no code and cannot be called."""
    # In one thread: the recording modes are thread-local, and autograd would use another thread for a GPU.
    with light_tracing(), torch.autograd.set_multithreading_enabled(False):
        module = make_fx(function)(*example)
        _rewrite(module, SIMPLIFICATIONS)
    return module


def _finished(
    module: fx.GraphModule, rewrites: Sequence[Rewrite] = (), outputs: Sequence[int] | None = None
) -> fx.GraphModule:
    """A rewritten copy with low call overhead, which shares the parameters.

    Args:
        module: traced.
        rewrites: to apply to the copy.
        outputs: indices of the results to return, or None for all.
    """
    graph = fx.Graph()
    returned: Any = graph.graph_copy(module.graph, {})
    graph.output(returned if outputs is None else [returned[place] for place in outputs])
    finished = _Module(module, graph)
    drop_unused(finished)
    _rewrite(finished, [*rewrites, add_products_in_place])
    use_python_bindings(finished)  # last: for these functions torch does not know which write to memory
    finished.is_finished = True
    finished.recompile()
    return finished


class _Module(fx.GraphModule):
    """A module whose code is generated only once, when its graph is finished."""

    is_finished = False

    def recompile(self) -> Any:
        """Generate the code of the present graph."""
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
    """Losses, metrics and gradients of an algorithm as a recorded graph, for one shape of batch.

    Args:
        algorithm: its parameters are read in place at every replay; they must not move to other memory afterwards.
        batch: an example; a replay takes tensors of the same shapes.
        noise: an example; a replay takes tensors of the same shapes.
        diagnose: return all metrics, not only the losses.
    """

    def __init__(self, algorithm: Differentiable, batch: Batch, noise: Noise, diagnose: bool) -> None:
        self._prepare(_Traced(algorithm, batch, noise, (diagnose,)), diagnose)

    @classmethod
    def of_both_kinds(cls, algorithm: Differentiable, batch: Batch, noise: Noise) -> dict[bool, RecordedGradients]:
        """By `diagnose`; the operations are recorded once, which takes nearly all of the time."""
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
        """Use fewer kernels (see `gpu_passes`), equal up to rounding; or replay as recorded."""
        self.module = _finished(self._traced.module, GPU_PASSES if for_gpu else (), self._outputs)
        self.run: Callable[..., Any] = self.module.forward

    def compile(self) -> None:
        """Let torch.compile fuse the recorded operations.

        That needs a C++ compiler and half a minute or more the first time; results then agree up to rounding, not bit
        for bit. Dynamo compiles the recorded module in its first call. The module is not registered, so no parameter
        is renamed.
        """
        self.run = torch.compile(self.module, fullgraph=True, dynamic=False)

    @torch.no_grad()
    def __call__(self, batch: Batch, noise: Noise) -> tuple[dict[str, Tensor], list[Tensor | None]]:
        """Returns name -> (P,) losses or metrics, and gradients in the order of `networks.parameters()`."""
        outputs = self.run(*batch, *(noise[name] for name in self.draws))
        split = len(outputs) - len(self.names)
        return dict(zip(self.names, outputs[split:], strict=True)), outputs[:split]


class _Traced:
    """Gradients and reports of an algorithm as they are traced.

    Args:
        algorithm: see `RecordedGradients`.
        batch: see `RecordedGradients`.
        noise: see `RecordedGradients`.
        kinds: values of `diagnose` whose reports are traced.
    """

    def __init__(self, algorithm: Differentiable, batch: Batch, noise: Noise, kinds: Sequence[bool]) -> None:
        self.draws = tuple(noise)
        self._places: dict[bool, dict[str, int]] = {}

        def differentiate(*tensors: Tensor) -> list[Tensor | None]:
            given = Batch(*tensors[: len(batch)])
            terms, outputs = algorithm.gradients(given, dict(zip(noise, tensors[len(batch) :], strict=True)))
            self._gradients, outputs = len(outputs), list(outputs)
            for diagnose in kinds:
                report = algorithm.report(terms, diagnose)
                self._places[diagnose] = {name: len(outputs) + place for place, name in enumerate(report)}
                outputs += report.values()
            return outputs

        self.module = _traced(differentiate, [*batch, *noise.values()])

    def returned(self, diagnose: bool) -> tuple[list[str], list[int]]:
        """Names of what is reported, and the places of all that is returned among the outputs."""
        places = self._places[diagnose]
        return list(places), [*range(self._gradients), *places.values()]
