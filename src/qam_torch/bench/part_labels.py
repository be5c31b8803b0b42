"""Every operation of a recorded update labelled with its part, for any method.

What runs inside a `scope` belongs to the part of that name. Of the rest, what leads to a loss belongs to this loss, and
so does its differentiation; what several losses share goes to the first of them. So a method needs no word about itself
here. Losses are named by their metrics.
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
"""Key of a recorded operation's metadata, and absent where nothing is known."""


class Labelling:
    """An algorithm that labels the operations of its losses, and of their differentiation, as they are recorded."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self.part: str | None = None

    def gradients(self, batch: Batch, noise: Noise) -> tuple[list[LossTerm], list[Tensor | None]]:
        """As the algorithm's."""
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
        """The losses; what leads to one and has no label yet gets its name."""
        report = {}
        for i, (name, term) in enumerate([(_name(term), term) for term in terms]):
            report[f"{i}/{name}"] = term.loss.detach()  # which is recorded: the last operation then
            for node in _ancestors(self._last()):
                node.meta.setdefault(PART, name)
        return report

    def _last(self) -> fx.Node:
        return next(iter(reversed(self.nodes)))

    def _begin_part(self, part: str | None) -> None:
        """What was recorded since the last turn gets its label; what comes now belongs to this part."""
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
        """The losses, whose differentiation makes the turns."""
        owned: set[Node] = set()
        for term in terms:
            turn = partial(self._differentiating, _name(term))
            pending = [term.loss.grad_fn]
            while pending:
                node = pending.pop()
                # Without the leaves: they are the parameters' own and outlive this graph.
                if node is not None and node not in owned and node.next_functions:
                    owned.add(node)
                    node.register_prehook(turn)
                    pending += [source for source, _ in node.next_functions]
        return terms

    def _differentiating(self, name: str, _: Sequence[Tensor]) -> None:
        self._begin_part(name)


def _name(term: LossTerm) -> str:
    return next(iter(term.metrics()), f"loss of {' and '.join(term.trains)}")


def _ancestors(result: fx.Node) -> set[fx.Node]:
    """The operations that a result depends on, those that write to what it is made of included."""
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
