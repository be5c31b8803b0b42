"""Rewrite a recorded list of operations for a GPU, on which a kernel launch costs more than a small operation.

The results agree with those of the recorded operations up to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from qam_torch.algorithms.core.joint_flow_steps import join_flow_steps
from qam_torch.algorithms.core.recording_passes import PRODUCTS_WITH_NUMBER, is_view, recorded_value, written_to

__all__ = ["GPU_PASSES"]

aten = torch.ops.aten


def replace(node: fx.Node, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
    """Replace a node by another operation with the same result, and return the new node."""
    with node.graph.inserting_before(node):
        other = node.graph.call_function(target, args, kwargs)
    other.meta = dict(node.meta)
    node.replace_all_uses_with(other)
    node.graph.erase_node(node)
    return other


def stack_rows(module: fx.GraphModule) -> None:
    """Stack results instead of copying each result into a row of an empty tensor.

    Operations that read a row then use the result directly. The solvers of torchdiffeq store a path in rows of an empty
    tensor.
    """
    changing = written_to(module)
    for empty in [node for node in module.graph.nodes if node.target is aten.empty.memory_format]:
        rows = [user for user in empty.users if user.target is aten.select.int]
        copies = [user for row in rows for user in row.users if user.target is aten.copy_.default]
        results = [copy.args[1] for copy in copies]
        indices = [copy.args[0].args[2] for copy in copies]
        if indices != list(range(len(recorded_value(empty)))) or changing.intersection(results):
            continue
        with module.graph.inserting_after(copies[-1]):
            stack = module.graph.call_function(aten.stack.default, (results,))
        stack.meta = dict(empty.meta)
        for copy in copies:
            row = copy.args[0]
            module.graph.erase_node(copy)
            module.graph.erase_node(row)
        empty.replace_all_uses_with(stack)
        for reader in list(stack.users):
            if reader.target is aten.select.int and reader.args[1] == 0:
                reader.replace_all_uses_with(results[reader.args[2]])  # type: ignore[index]
            elif reader.target is aten.flip.default and reader.args[1] == [0]:
                replace(reader, aten.stack.default, results[::-1])


def fuse_gelu_backward(module: fx.GraphModule) -> None:
    """Multiply by the derivative of GELU in the kernel that computes it, instead of writing it to memory first."""
    for product in list(module.graph.nodes):
        if product.target is not aten.mul.Tensor:
            continue
        for gradient, slope in (product.args, product.args[::-1]):
            derivative, views = _viewed(slope)
            if not _is_gelu_derivative(derivative):
                continue
            point = derivative.args[1]
            with module.graph.inserting_before(product):
                for view in views:
                    meta = dict(view.meta)
                    point = module.graph.call_function(view.target, (point, *view.args[1:]), view.kwargs)
                    point.meta = meta
            replace(product, derivative.target, gradient, point, **derivative.kwargs)
            break


def _viewed(node: Any) -> tuple[Any, list[Any]]:
    """Return the base of a view, and the view operations between the base and the view, from base to view."""
    views: list[Any] = []
    while isinstance(node, fx.Node) and is_view(node.target):
        views.insert(0, node)
        node = node.args[0]
    return node, views


def _is_gelu_derivative(node: Any) -> bool:
    return (
        isinstance(node, fx.Node)
        and node.target is aten.gelu_backward.default
        and getattr(node.args[0], "target", None) is aten.ones_like.default
    )


def fold_scale_into_add(module: fx.GraphModule) -> None:
    """Fold the constant factor of a summand into the addition, so that a + c x is one operation."""
    changing = written_to(module)
    for node in list(module.graph.nodes):
        if node.target is not aten.add.Tensor:
            continue
        first, second = node.args
        alpha = node.kwargs.get("alpha", 1)
        if alpha == 1 and _is_scaled(first):
            first, second = second, first
        if _is_scaled(second) and not changing.intersection((second, second.args[0])):
            replace(node, aten.add.Tensor, first, second.args[0], alpha=alpha * second.args[1])


def _is_scaled(summand: Any) -> bool:
    """Return whether a summand is a tensor times a constant number."""
    return (
        isinstance(summand, fx.Node)
        and summand.target in PRODUCTS_WITH_NUMBER
        and not isinstance(summand.args[1], fx.Node)
        and recorded_value(summand).is_floating_point()
        and recorded_value(summand).dtype == recorded_value(summand.all_input_nodes[0]).dtype
    )


def fuse_activations(module: fx.GraphModule) -> None:
    """Fuse GELU into a matrix product with bias, if no other operation uses the product."""
    for node in list(module.graph.nodes):
        if node.target is not aten.gelu.default or node.kwargs.get("approximate") != "tanh":
            continue
        product = node.args[0]
        if product.target is not aten.addmm.default or len(product.users) > 1:
            continue
        bias, x, kernel = product.args
        if recorded_value(bias).ndim == 1 and recorded_value(product).dtype in (torch.float32, torch.bfloat16):
            replace(node, aten._addmm_activation.default, bias, x, kernel, use_gelu=True)


GPU_PASSES = (stack_rows, fuse_gelu_backward, fold_scale_into_add, join_flow_steps, fuse_activations)
"""Passes for a GPU in the order in which they run. They run before `add_products_in_place`."""
