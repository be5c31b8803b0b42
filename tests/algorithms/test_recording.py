"""Recording a function: nothing is done twice, nothing is left out."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from qam_torch.algorithms.core.recording import record


def operations(recorded: fx.GraphModule) -> list[str]:
    nodes = [node for node in recorded.graph.nodes if node.op == "call_function"]
    return [getattr(node.target, "__name__", str(node.target)) for node in nodes]


def test_repeats_are_computed_once() -> None:
    weight = torch.nn.Parameter(torch.randn(3, 3))

    def function(x: Tensor) -> list[Tensor]:
        return [x @ weight.bfloat16().float(), x.sin() @ weight.bfloat16().float()]

    recorded, x = record(function, [torch.randn(2, 3)]), torch.randn(2, 3)
    assert all(torch.equal(a, b) for a, b in zip(recorded(x), function(x), strict=True))
    assert sum("_to_copy" in name for name in operations(recorded)) == 2  # there and back


def test_what_is_written_to_in_between_is_computed_again() -> None:
    def function(x: Tensor) -> list[Tensor]:
        y = x + 1
        view = y.view(-1)
        before = view * 2
        y.mul_(3)
        return [before, view * 2, y.view(-1) * 2]

    recorded, x = record(function, [torch.randn(2, 3)]), torch.randn(2, 3)
    assert all(torch.equal(a, b) for a, b in zip(recorded(x), function(x), strict=True))
