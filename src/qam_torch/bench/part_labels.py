"""Labels for the operations of a recorded update: the part of the update that each belongs to.

Operations inside a `scope` belong to the part of that name. Other operations belong to the loss that depends on them,
as does its differentiation; operations shared by several losses belong to the first. Losses are named by their metrics.
So methods need no entry here.
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

__all__ = ["PART", "Labelling"]

PART = "part"
"""Key in a recorded operation's metadata; absent without a label."""


class Labelling:
    """Wraps an algorithm and labels the operations of its losses and their gradients while they are recorded.

    Args:
        algorithm: the algorithm, whose `gradients` and `report` this class stands for.
    """

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.part: str | None = None

    def gradients(self, batch: Batch, noise: Noise) -> tuple[list[LossTerm], list[Tensor | None]]:
        """The algorithm's losses and gradients, with labels on their operations."""
        losses, mode = self.algorithm.losses, get_proxy_mode()
        assert mode is not None, "only while an update is recorded"
        self.nodes = mode.tracer.graph.nodes
        self.newest = self._last()
        self.algorithm.losses = lambda *given: self._watch_differentiation(losses(*given))  # type: ignore[method-assign]
        try:
            with watching(self._scope):
                return self.algorithm.gradients(batch, noise)
        finally:
            self._begin_part(None)
            del self.algorithm.losses

    def report(self, terms: Sequence[LossTerm], diagnose: bool) -> dict[str, Tensor]:
        """The detached losses; unlabeled operations that one depends on get its name."""
        report = {}
        for i, (name, term) in enumerate([(_name(term), term) for term in terms]):
            report[f"{i}/{name}"] = term.loss.detach()  # detaching is recorded, as the last operation
            for node in _ancestors(self._last()):
                node.meta.setdefault(PART, name)
        return report

    def _last(self) -> fx.Node:
        return next(iter(reversed(self.nodes)))

    def _begin_part(self, part: str | None) -> None:
        """Label the operations recorded since the last call with the old part, and begin another."""
        end = self._last()
        while self.newest is not end:
            self.newest = self.newest.next
            if self.part is not None:
                self.newest.meta[PART] = self.part
        self.part = part

    @contextmanager
    def _scope(self, name: str) -> Iterator[None]:
        outer = self.part
        self._begin_part(name)
        yield
        self._begin_part(outer)

    def _watch_differentiation(self, terms: list[LossTerm]) -> list[LossTerm]:
        """Make the differentiation of each loss begin its part; returns the losses."""
        owned: set[Node] = set()
        for term in terms:
            begin = partial(self._differentiating, _name(term))
            pending = [term.loss.grad_fn]
            while pending:
                node = pending.pop()
                # Without the leaves: they belong to the parameters and outlive this graph.
                if node is not None and node not in owned and node.next_functions:
                    owned.add(node)
                    node.register_prehook(begin)
                    pending += [source for source, _ in node.next_functions]
        return terms

    def _differentiating(self, name: str, _: Sequence[Tensor]) -> None:
        self._begin_part(name)


def _name(term: LossTerm) -> str:
    return next(iter(term.metrics()), f"loss of {' and '.join(term.trains)}")


def _ancestors(result: fx.Node) -> set[fx.Node]:
    """Operations that a result depends on, including those that write to its inputs in place."""
    found: set[fx.Node] = set()
    pending = [result]
    while pending:
        node = pending.pop()
        if node not in found:
            found.add(node)
            pending += [*node.all_input_nodes, *_written_by(node)]
    return found


def _written_by(node: fx.Node) -> Iterator[fx.Node]:
    """Operations that write to a result in place, directly or through a view."""
    for user in node.users:
        if isinstance(user.target, torch._ops.OpOverload) and user.args[0] is node:
            if user.target._schema.is_mutable:
                yield user
            elif user.target.is_view:
                yield from _written_by(user)
