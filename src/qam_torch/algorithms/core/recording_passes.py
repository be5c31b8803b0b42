"""Rewrite a recorded list of operations so that fewer operations give the same results."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx

__all__ = [
    "PRODUCTS_WITH_NUMBER",
    "SIMPLIFICATIONS",
    "drop_unused",
    "use_python_bindings",
    "is_view",
    "add_products_in_place",
    "recorded_value",
    "written_to",
]

aten = torch.ops.aten
SAME_VALUE = {aten.detach.default, aten.alias.default}
VIEWS = {aten.view.default, aten._unsafe_view.default}
PRODUCTS_WITH_NUMBER = {aten.mul.Tensor, aten.mul.Scalar}
RESHAPES = {*VIEWS, aten.expand.default}
# Operations with a direct Python binding. A call of the binding takes half as long as a call through torch.ops.
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
METHODS = ("add_", "addmm_", "baddbmm_", "expand", "mul_", "sigmoid_", "view")


def drop_noops(module: fx.GraphModule) -> None:
    """Remove operations that return their input unchanged, and merge a view of a view into one view."""
    for node in list(module.graph.nodes):
        if node.op != "call_function" or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        source = node.args[0]
        if node.target in VIEWS:
            while source.target in VIEWS and recorded_value(source.all_input_nodes[0]).is_contiguous():
                source = source.all_input_nodes[0]
            node.update_arg(0, source)
        if node.target in SAME_VALUE or (
            node.target in RESHAPES and recorded_value(source).shape == recorded_value(node).shape
        ):
            node.replace_all_uses_with(source)
            module.graph.erase_node(node)


def drop_identities(module: fx.GraphModule) -> None:
    """Remove the operations x * 1 and x ** 1, which derivatives of `addcmul` and `square` contain."""
    changing = written_to(module)
    for node in list(module.graph.nodes):
        if node.target not in (*PRODUCTS_WITH_NUMBER, aten.pow.Tensor_Scalar) or node.args[1] != 1:
            continue
        source = node.args[0]
        alike = recorded_value(source).dtype == recorded_value(node).dtype
        shared = node in changing or changing.intersection(_memory(source))
        if alike and not shared and not _is_returned(node):
            node.replace_all_uses_with(source)
            module.graph.erase_node(node)


def drop_keepdims(module: fx.GraphModule) -> None:
    """Sum without `keepdim` if a view removes these dimensions right after, as in the gradient of a bias vector."""
    for node in list(module.graph.nodes):
        if node.target not in VIEWS or node.args[0].target is not aten.sum.dim_IntList:
            continue
        total = node.args[0]
        if len(total.args) == 3 and total.args[2] and list(total.users) == [node]:
            x, dims, _ = total.args
            kept = [size for dim, size in enumerate(recorded_value(x).shape) if dim not in dims]
            if list(recorded_value(node).shape) == kept:
                total.args = (x, dims)
                total.meta["val"] = recorded_value(node)
                node.replace_all_uses_with(total)
                module.graph.erase_node(node)


def drop_common_subexpressions(module: fx.GraphModule) -> None:
    """Eliminate common subexpressions, e.g. the conversion of a weight to lower precision."""
    changing = written_to(module)
    first: dict[Any, fx.Node] = {}
    for node in list(module.graph.nodes):
        if is_view(node.target) and changing.intersection(node.all_input_nodes):
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


def recorded_value(node: fx.Node) -> Tensor:
    """Return the tensor that a node had at recording time."""
    return node.meta["val"]


def fold_constants(module: fx.GraphModule) -> None:
    """Evaluate operations that depend on no input only once: constants and views of parameters.

    The views share memory with the parameters, so that they stay up to date.
    """
    written = written_to(module)
    values: dict[fx.Node, Any] = {}
    parameters: set[fx.Node] = set()
    for node in list(module.graph.nodes):
        if node.op == "get_attr":
            values[node] = node.meta["val"] = getattr(module, node.target)
            parameters.add(node)
        if node.op != "call_function" or not all(source in values for source in node.all_input_nodes):
            continue
        if node in written:
            continue
        if parameters.intersection(node.all_input_nodes):
            if not is_view(node.target):
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
            constant.meta["val"] = values[node]
            node.replace_all_uses_with(constant)
            values[constant] = values[node]
            if node in parameters:
                parameters.add(constant)


def drop_unused(module: fx.GraphModule) -> None:
    """Remove operations on which no result depends, including in-place operations.

    Operations that write to an input, parameter or constant are kept.
    """
    needed: set[fx.Node] = set()
    for node in reversed(list(module.graph.nodes)):
        if node.op in ("placeholder", "get_attr"):
            continue
        memory = _memory(node)
        outside = any(one.op in ("placeholder", "get_attr") for one in memory)
        if node.op == "output" or (outside and not is_view(node.target)) or needed.intersection(memory):
            needed.update(*map(_memory, node.all_input_nodes), memory)
        else:
            module.graph.erase_node(node)


SIMPLIFICATIONS = (drop_noops, drop_identities, drop_keepdims, drop_common_subexpressions, fold_constants)
"""Passes for every device, in the order in which they run. They also run before compilation."""


def add_products_in_place(module: fx.GraphModule) -> None:
    """Add a matrix product to its summand in place, without a copy, if no other operation uses the summand."""
    in_place = {aten.addmm.default: aten.addmm_.default, aten.baddbmm.default: aten.baddbmm_.default}
    for node in module.graph.nodes:
        if node.target not in in_place:
            continue
        summand, own = node.args[0], recorded_value(node)
        given = recorded_value(summand)
        alike = (given.shape, given.stride(), given.dtype) == (own.shape, own.stride(), own.dtype)
        if alike and _is_needed_once(summand) and node.all_input_nodes.count(summand) == 1:
            node.target = in_place[node.target]


def use_python_bindings(module: fx.GraphModule) -> None:
    """Call the Python functions and methods of torch instead of torch.ops, if they are the same operation."""
    for node in module.graph.nodes:
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        name = node.target.overloadpacket.__name__
        if name in FUNCTIONS:
            node.target = getattr(torch, name)
        elif name in METHODS:
            node.target = getattr(Tensor, name)


def _memory(node: fx.Node) -> set[fx.Node]:
    """Return the node and the nodes whose memory it may share: bases of views and targets of in-place operations."""
    shared = {node}
    while node.op == "call_function" and not _is_fresh(node) and node.all_input_nodes:
        node = node.all_input_nodes[0]
        shared.add(node)
    return shared


def _is_returned(node: fx.Node) -> bool:
    """Return whether the recording returns this result or a view of it, so that the caller may write to it."""
    return any(user.op == "output" or (is_view(user.target) and _is_returned(user)) for user in node.users)


def _is_fresh(node: fx.Node) -> bool:
    if not isinstance(node.target, torch._ops.OpOverload) or node.target in SAME_VALUE:
        return False
    return not (node.target.is_view or node.target._schema.is_mutable)


def _is_needed_once(node: fx.Node) -> bool:
    """Return whether exactly one operation reads a result's memory, and the result or its base allocated it."""
    while len(node.users) == 1 and node.op == "call_function" and is_view(node.target) and node.args:
        node = node.all_input_nodes[0]
    return len(node.users) == 1 and node.op == "call_function" and _is_fresh(node)


def written_to(module: fx.GraphModule) -> set[fx.Node]:
    """Return the nodes whose memory is written to in place, directly or through a view."""
    written: set[fx.Node] = set()
    for node in module.graph.nodes:
        if not (isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable):
            continue
        target = node.args[0]
        while isinstance(target, fx.Node) and target not in written:
            written.add(target)
            target = target.args[0] if is_view(target.target) else None
    return written


def is_view(target: Any) -> bool:
    """Return whether an operation returns a view of its input."""
    return target is operator.getitem or (isinstance(target, torch._ops.OpOverload) and target.is_view)
