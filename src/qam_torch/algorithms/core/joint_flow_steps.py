"""Rewrite a recorded update: join two evaluations of a flow at the same time into one with twice the rows.

For example, the action of the TD target and the sampled path of adjoint matching both evaluate f_theta step by step.
Their steps are independent, and a GPU runs two steps as fast as one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import fx

from qam_torch.algorithms.core.recording_passes import recorded_value

__all__ = ["join_flow_steps"]

aten = torch.ops.aten
PRODUCTS = (aten.addmm.default, aten.baddbmm.default)
ROW_BY_ROW = (aten.gelu.default, aten._to_copy.default)
FUNCTIONAL = {aten.add_.Tensor: aten.add.Tensor, aten.logical_and_.default: aten.logical_and.default}


class Step(NamedTuple):
    """One evaluation of a flow without gradient.

    It is a chain of operations. Each operation is the only user of the previous one.

    Attributes:
        operations: operations of the chain. The first one adds the time term to the observation term of the first
            layer, (..., B, H). The last one is the matrix product of the last layer.
    """

    operations: list[Any]  # fx.Node. Its arguments have too many types for a type checker.

    @property
    def observed(self) -> Any:
        """The observation term of the first layer, (..., B, H)."""
        return self.operations[0].args[0]

    @property
    def x(self) -> Any:
        """The point x at which the flow is evaluated, (..., B, D)."""
        return next(node.args[1] for node in self.operations if node.target in PRODUCTS)

    @property
    def velocity(self) -> Any:
        """The resulting velocity, (..., B, D)."""
        return self.operations[-1]

    @property
    def time(self) -> float:
        """The flow time t."""
        return float(self.operations[0].kwargs.get("alpha", 1))

    def matches(self, other: Step) -> bool:
        """Return whether another step has the same layers, the same time (up to rounding) and the same shape of x."""
        return (
            recorded_value(self.x).shape == recorded_value(other.x).shape
            and math.isclose(self.time, other.time, rel_tol=1e-9, abs_tol=1e-12)
            and self.layers() == other.layers()
        )

    def layers(self) -> list[object]:
        """Return the operations with their arguments, except for x, observation term and intermediate results."""
        own = {self.observed, self.x, *self.operations}
        given = [[argument for argument in node.args if argument not in own] for node in self.operations]
        return [(node.target, more) for node, more in zip(self.operations, given, strict=True)]

    def depends_on(self, other: Step) -> bool:
        """Return whether this step depends on the velocity of another step."""
        seen, pending = set(), list(self.operations)
        while pending:
            for source in pending.pop().all_input_nodes:
                if source not in seen:
                    seen.add(source)
                    pending.append(source)
        return other.velocity in seen


def join_flow_steps(module: fx.GraphModule) -> None:
    """Join pairs of steps of a flow that match, if neither step depends on the other."""
    _undo_writing(module)
    graph = module.graph
    if any(isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable for node in graph.nodes):
        return
    open_steps: list[Step] = []
    observed: dict[tuple[fx.Node, fx.Node], fx.Node] = {}
    for step in [step for node in graph.nodes for step in _steps_from(node)]:
        for other in open_steps:
            if other.matches(step) and not step.depends_on(other) and not other.depends_on(step):
                open_steps.remove(other)
                _join(graph, other, step, observed)
                break
        else:
            open_steps.append(step)
    if observed:
        _sort(graph)


def _undo_writing(module: fx.GraphModule) -> None:
    """Replace in-place operations by out-of-place ones if the results stay the same, so that operations can move."""
    for node in module.graph.nodes:
        if node.target in FUNCTIONAL and list(node.args[0].users) == [node]:
            node.target = FUNCTIONAL[node.target]


def _steps_from(first: Any) -> Iterator[Step]:
    """Yield the step that begins with this operation, or nothing if no step begins with it."""
    if first.target is not aten.add.Tensor or len(first.users) != 1 or not isinstance(first.args[1], fx.Node):
        return
    operations = [first]
    place = 0  # index of the previous operation in the arguments of the next product
    while len(operations[-1].users) == 1:
        (user,) = operations[-1].users
        if user.target in PRODUCTS and user.args[place] is operations[-1]:
            place = 1
        elif user.target not in ROW_BY_ROW:
            break
        operations.append(user)
    while operations[-1].target in ROW_BY_ROW:
        operations.pop()
    if sum(node.target in PRODUCTS for node in operations) > 1:
        yield Step(operations)


def _join(graph: fx.Graph, one: Step, two: Step, observed: dict[tuple[fx.Node, fx.Node], fx.Node]) -> None:
    """Replace two steps by one step, with the rows of `one` first and the rows of `two` second."""
    rows = recorded_value(one.x).shape[-2]

    def call(target: Any, *args: Any, like: fx.Node, count: int, **kwargs: Any) -> fx.Node:
        node = graph.call_function(target, args, kwargs)
        given = recorded_value(like)
        node.meta = {**like.meta, "val": given.new_empty((*given.shape[:-2], count, given.shape[-1]))}
        return node

    with graph.inserting_before(next(iter(reversed(graph.nodes)))):
        sources = (one.observed, two.observed)
        if sources not in observed:
            observed[sources] = call(aten.cat.default, list(sources), -2, like=one.observed, count=2 * rows)
        joined = {
            one.observed: observed[sources],
            one.x: call(aten.cat.default, [one.x, two.x], -2, like=one.x, count=2 * rows),
        }
        for node in one.operations:
            given = [joined.get(argument, argument) for argument in node.args]
            joined[node] = call(node.target, *given, like=node, count=2 * rows, **node.kwargs)
        h = joined[one.velocity]
        for start, step in ((0, one), (rows, two)):
            part = call(aten.slice.Tensor, h, -2, start, start + rows, like=step.velocity, count=rows)
            step.velocity.replace_all_uses_with(part)
    for step in (one, two):
        for node in reversed(step.operations):
            graph.erase_node(node)


def _sort(graph: fx.Graph) -> None:
    """Sort operations topologically, and otherwise keep their order."""
    placed: set[fx.Node] = set()
    order: list[fx.Node] = []
    for end in list(graph.nodes):
        pending = [end]
        while pending:
            node = pending[-1]
            missing = [source for source in node.all_input_nodes if source not in placed]
            if missing and node not in placed:
                pending += missing
                continue
            pending.pop()
            if node not in placed:
                placed.add(node)
                order.append(node)
    for before, node in zip(order, order[1:], strict=False):
        before.append(node)
