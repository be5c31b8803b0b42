"""Label each operation of a recorded update with the part of the update that it belongs to.

Operations inside a `scope` belong to the part with the scope's name. Other operations belong to the loss that depends
on them, and the operations of its backward pass too. Operations shared by several losses belong to the first loss. A
loss is named after its first metric. So a new method needs no change here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, fx
from torch.autograd.graph import Node
from torch.fx.experimental.proxy_tensor import get_proxy_mode

from qam_torch.algorithms import Algorithm, LossTerm
from qam_torch.scopes import watching
from qam_torch.types import Batch, Noise

__all__ = ["PART", "Labeling"]

PART = "part"
"""Key of the label in the metadata of a recorded operation. Operations without a label lack the key."""


class Labeling:
    """Wraps an algorithm and labels the operations of its losses and their gradients while they are recorded.

    Args:
        algorithm: the algorithm. Its `gradients` and `report` are replaced by those of this class.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.part: str | None = None

    def gradients(self, batch: Batch, noise: Noise) -> tuple[list[LossTerm], list[Tensor | None]]:
        """The algorithm's losses and gradients, with labels on their operations."""
        losses, mode = self.algorithm.losses, get_proxy_mode()
        assert mode is not None, "called outside the recording of an update"
        self.nodes = mode.tracer.graph.nodes
        self.last_labeled = self._last()
        self.algorithm.losses = lambda *given: self._watch_backward(losses(*given))  # type: ignore[method-assign]
        try:
            with watching(self._scope):
                return self.algorithm.gradients(batch, noise)
        finally:
            self._begin_part(None)
            del self.algorithm.losses

    def report(self, terms: Sequence[LossTerm], diagnose: bool) -> dict[str, Tensor]:
        """The detached losses. Unlabeled operations that a loss depends on get the name of the loss."""
        report = {}
        for i, (name, term) in enumerate([(_name(term), term) for term in terms]):
            report[f"{i}/{name}"] = term.loss.detach()  # detach() is recorded too, as the last operation
            for node in _ancestors(self._last()):
                node.meta.setdefault(PART, name)
        return report

    def _last(self) -> fx.Node:
        return next(iter(reversed(self.nodes)))

    def _begin_part(self, part: str | None) -> None:
        """Label the operations recorded since the last call with the current part, then make `part` the current one."""
        end = self._last()
        while self.last_labeled is not end:
            self.last_labeled = self.last_labeled.next
            if self.part is not None:
                self.last_labeled.meta[PART] = self.part
        self.part = part

    @contextmanager
    def _scope(self, name: str) -> Iterator[None]:
        outer = self.part
        self._begin_part(name)
        yield
        self._begin_part(outer)

    def _watch_backward(self, terms: list[LossTerm]) -> list[LossTerm]:
        """Hook the backward pass of each loss, so that its operations get the loss's label. Returns the losses."""
        hooked: set[Node] = set()
        for term in terms:
            begin = partial(self._begin_backward, _name(term))
            pending = [term.loss.grad_fn]
            while pending:
                node = pending.pop()
                # Leaf nodes get no hook: they belong to the parameters and outlive this graph.
                if node is not None and node not in hooked and node.next_functions:
                    hooked.add(node)
                    node.register_prehook(begin)
                    pending += [source for source, _ in node.next_functions]
        return terms

    def _begin_backward(self, name: str, _: Sequence[Tensor]) -> None:
        self._begin_part(name)


def _name(term: LossTerm) -> str:
    return next(iter(term.metrics()), f"loss of {' and '.join(term.trains)}")


def _ancestors(result: fx.Node) -> set[fx.Node]:
    """Operations that a result depends on, including those that modify its inputs in place."""
    found: set[fx.Node] = set()
    pending = [result]
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += [*node.all_input_nodes, *_in_place_writers(node)]
    return found


def _in_place_writers(node: fx.Node) -> Iterator[fx.Node]:
    """Operations that modify a result in place, directly or through a view."""
    for user in node.users:
        if isinstance(user.target, torch._ops.OpOverload) and user.args[0] is node:
            if user.target._schema.is_mutable:
                yield user
            elif user.target.is_view:
                yield from _in_place_writers(user)
