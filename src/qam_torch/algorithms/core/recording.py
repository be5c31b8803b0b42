"""Record the differentiated losses once as a flat list of tensor operations, and replay it.

The losses are a closed function of (parameters, batch, noise), so their operations and those of their gradients are the
same at every update. Recording them removes Python, autograd and torch.func from the loop, which is most of the time of
a small network on a CPU. The operations are identical, and so are the numbers, bit for bit (tests compare them).
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx

from qam_torch.algorithms.core.loss_terms import LossTerm
from qam_torch.algorithms.core.tracing_internals import descriptions_shared
from qam_torch.types import Batch, Noise

__all__ = ["Differentiable", "RecordedGradients", "record"]

aten = torch.ops.aten
SAME_VALUE = {aten.detach.default, aten.alias.default}
VIEWS = {aten.view.default, aten._unsafe_view.default}
RESHAPES = {*VIEWS, aten.expand.default}
# Operations with a direct Python binding, which costs half of calling them through torch.ops.
FUNCTIONS = (
    "add",
    "addcmul",
    "addmm",
    "baddbmm",
    "bmm",
    "cat",
    "clamp",
    "div",
    "lerp",
    "mean",
    "mm",
    "mul",
    "pow",
    "select",
    "split_with_sizes",
    "squeeze",
    "stack",
    "std_mean",
    "sub",
    "sum",
    "t",
    "transpose",
    "unsqueeze",
)
METHODS = ("add_", "expand", "mul_", "sigmoid_", "view")


def record(function: Callable[..., Any], example: Sequence[Tensor]) -> fx.GraphModule:
    """The function as a flat list of tensor operations, for tensors of the example's shapes, devices and dtypes.

    function  of tensors and parameters; it returns tensors in lists, and depends on no number in them
    """
    # In this thread alone: the modes that record are those of a thread, and a GPU's gradients have one of their own.
    with descriptions_shared(), torch.autograd.set_multithreading_enabled(False):
        module = make_fx(function)(*example)
    for simplify in (_drop_relabelling, _drop_repeats, _fold_constants, _call_directly):
        simplify(module)
        module.graph.eliminate_dead_code()
    module.recompile()
    return module


class Differentiable(Protocol):
    """What is recorded of an algorithm: its losses with their gradients, and what it reports of them."""

    def gradients(self, batch: Batch, noise: Noise) -> tuple[list[LossTerm], list[Tensor | None]]:
        """The loss terms, and their gradients in the order of `networks.parameters()`."""
        ...

    def report(self, terms: Sequence[LossTerm], diagnose: bool) -> dict[str, Tensor]:
        """Losses or metrics by name, (P,) each."""
        ...


class RecordedGradients:
    """Losses, metrics and gradients of an algorithm as a recorded graph, for one shape of batch.

    algorithm  its parameters are read in place at every replay; they must not move to other memory afterwards
    batch, noise  an example; a replay takes tensors of the same shapes
    diagnose   record the metrics too, else the losses alone
    """

    def __init__(self, algorithm: Differentiable, batch: Batch, noise: Noise, diagnose: bool) -> None:
        names: list[str] = []

        def differentiate(*tensors: Tensor) -> list[Tensor | None]:
            given = Batch(*tensors[: len(batch)])
            terms, gradients = algorithm.gradients(given, dict(zip(noise, tensors[len(batch) :], strict=True)))
            report = algorithm.report(terms, diagnose)
            names[:] = report
            return [*gradients, *report.values()]

        self.module = record(differentiate, [*batch, *noise.values()])
        self.run: Callable[..., Any] = self.module.forward
        self.names, self.draws = names, tuple(noise)

    def compile(self) -> None:
        """Let torch.compile fuse the recorded operations.

        That needs a C++ compiler and half a minute the first time; the numbers then agree to rounding instead of to
        the bit. Dynamo compiles the recorded module as it is called; it is registered nowhere, so no parameter is
        renamed.
        """
        self.run = torch.compile(self.module, fullgraph=True, dynamic=False)

    @torch.no_grad()
    def __call__(self, batch: Batch, noise: Noise) -> tuple[dict[str, Tensor], list[Tensor | None]]:
        """-> name -> (P,) losses or metrics, and gradients in the order of `networks.parameters()`."""
        outputs = self.run(*batch, *(noise[name] for name in self.draws))
        split = len(outputs) - len(self.names)
        return dict(zip(self.names, outputs[split:], strict=True)), outputs[:split]


def _drop_relabelling(module: fx.GraphModule) -> None:
    """Remove operations that return their input unchanged, and reshapes of reshapes."""
    for node in list(module.graph.nodes):
        if node.op != "call_function" or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        source = node.args[0]
        if node.target in VIEWS:
            while source.target in VIEWS and _value(source.all_input_nodes[0]).is_contiguous():
                source = source.all_input_nodes[0]
            node.update_arg(0, source)
        if node.target in SAME_VALUE or (node.target in RESHAPES and _value(source).shape == _value(node).shape):
            node.replace_all_uses_with(source)
            module.graph.erase_node(node)


def _drop_repeats(module: fx.GraphModule) -> None:
    """Compute once what is asked for twice, such as a weight in lower precision."""
    changing = _written(module)
    first: dict[Any, fx.Node] = {}
    for node in list(module.graph.nodes):
        if _is_view(node.target) and changing.intersection(node.all_input_nodes):
            changing.add(node)
        if node.op == "get_attr":
            key: Any = id(getattr(module, node.target))
        elif node.op == "call_function" and not changing.intersection([node, *node.all_input_nodes]):
            key = (node.target, str(node.args), str(node.kwargs))
        else:
            continue
        if first.setdefault(key, node) is not node:
            node.replace_all_uses_with(first[key])
            module.graph.erase_node(node)


def _value(node: fx.Node) -> Tensor:
    """The tensor a node stood for while it was recorded."""
    return node.meta["val"]


def _fold_constants(module: fx.GraphModule) -> None:
    """Evaluate once what depends on no input: constants, and views of parameters, which follow them in place."""
    written = _written(module)
    values: dict[fx.Node, Any] = {}
    parameters: set[fx.Node] = set()
    for node in list(module.graph.nodes):
        if node.op == "get_attr":
            values[node] = getattr(module, node.target)
            parameters.add(node)
        if node.op != "call_function" or not all(source in values for source in node.all_input_nodes):
            continue
        if node in written:
            continue
        if parameters.intersection(node.all_input_nodes):
            if not _is_view(node.target):
                continue
            parameters.add(node)
        arguments = fx.node.map_arg(node.args, lambda source: values[source])
        with torch.no_grad():
            values[node] = node.target(*arguments, **node.kwargs)
        if isinstance(values[node], Tensor):
            name = f"folded_{len(values)}"
            module.register_buffer(name, values[node], persistent=False)
            with module.graph.inserting_before(node):
                constant = module.graph.get_attr(name)
            node.replace_all_uses_with(constant)
            values[constant] = values[node]
            if node in parameters:
                parameters.add(constant)


def _call_directly(module: fx.GraphModule) -> None:
    """Call torch's own Python functions and methods where they are the same operation."""
    for node in module.graph.nodes:
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        name = node.target.overloadpacket.__name__
        if name in FUNCTIONS:
            node.target = getattr(torch, name)
        elif name in METHODS:
            node.target = getattr(Tensor, name)


def _written(module: fx.GraphModule) -> set[fx.Node]:
    """Nodes whose memory is written to in place, directly or through a view."""
    written: set[fx.Node] = set()
    for node in module.graph.nodes:
        if not (isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable):
            continue
        target = node.args[0]
        while isinstance(target, fx.Node) and target not in written:
            written.add(target)
            target = target.args[0] if _is_view(target.target) else None
    return written


def _is_view(target: Any) -> bool:
    return target is operator.getitem or (isinstance(target, torch._ops.OpOverload) and target.is_view)
