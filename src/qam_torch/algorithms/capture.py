"""Capture the differentiated losses once as a flat list of tensor operations, and replay it.

The losses are a closed function of (parameters, batch, noise), so the operations they and their gradients consist of
are the same at every update. Recording them removes Python, autograd and torch.func from the loop, which is most of
the time of a small network on a CPU. The operations are the very same, so the numbers are bit for bit those of the
uncaptured update (a test compares them).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from qam_torch.types import Batch, Noise

if TYPE_CHECKING:
    from qam_torch.algorithms.base import Algorithm

__all__ = ["CapturedGradients"]

aten = torch.ops.aten
SAME_VALUE = {aten.detach.default, aten.alias.default}
RESHAPES = {aten.view.default, aten.expand.default, aten._unsafe_view.default}


class CapturedGradients:
    """Losses, metrics and gradients of an algorithm as a recorded graph, for one shape of batch.

    algorithm  its parameters are read in place at every replay; they must not move to another device afterwards
    batch, noise  an example; a replay takes tensors of the same shapes
    diagnose   record the metrics too, else the losses alone
    """

    def __init__(self, algorithm: Algorithm, batch: Batch, noise: Noise, diagnose: bool) -> None:
        names: list[str] = []

        def record(*tensors: Tensor) -> list[Tensor | None]:
            given = Batch(*tensors[: len(batch)])
            terms, gradients = algorithm.gradients(given, dict(zip(noise, tensors[len(batch) :], strict=True)))
            report = algorithm.report(terms, diagnose)
            names[:] = report
            return [*gradients, *report.values()]

        graph = make_fx(record)(*batch, *noise.values())
        _simplify(graph)
        self.names, self.draws, self.graph = names, tuple(noise), graph

    @torch.no_grad()
    def __call__(self, batch: Batch, noise: Noise) -> tuple[dict[str, Tensor], list[Tensor | None]]:
        """-> name -> (P,) losses or metrics, and gradients in the order of `networks.parameters()`."""
        outputs = self.graph.forward(*batch, *(noise[name] for name in self.draws))
        split = len(outputs) - len(self.names)
        return dict(zip(self.names, outputs[split:], strict=True)), outputs[:split]


def _simplify(module: fx.GraphModule) -> None:
    """Drop the operations that only relabel their input, and whatever nothing uses."""
    for node in list(module.graph.nodes):
        source = node.args[0] if node.args else None
        if node.op != "call_function" or not isinstance(source, fx.Node) or "val" not in source.meta:
            continue
        same_shape = node.target in RESHAPES and source.meta["val"].shape == node.meta["val"].shape
        if node.target in SAME_VALUE or same_shape:
            node.replace_all_uses_with(source)
            module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    module.recompile()
