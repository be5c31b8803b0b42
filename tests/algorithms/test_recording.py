"""Recording a function: nothing is done twice, nothing is left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx

from qam_torch.algorithms import QAM, QAME
from qam_torch.algorithms.core import recording
from qam_torch.algorithms.core.recording import RecordedGradients, record
from tests.helpers.algorithms import make, make_batch, make_noise


def operations(recorded: fx.GraphModule) -> list[str]:
    nodes = [node for node in recorded.graph.nodes if node.op == "call_function"]
    return [getattr(node.target, "__name__", str(node.target)) for node in nodes]


def same(function: Callable[..., list[Tensor]], *example: Tensor) -> list[str]:
    """Names of the recorded operations, which leave the same numbers and the same inputs, bit for bit."""
    recorded, copies = record(function, example), [one.clone() for one in example]
    assert all(torch.equal(a, b) for a, b in zip(recorded(*example), function(*copies), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(example, copies, strict=True))
    return operations(recorded)


def test_repeats_are_computed_once() -> None:
    weight = torch.nn.Parameter(torch.randn(3, 3))

    def function(x: Tensor) -> list[Tensor]:
        return [x @ weight.bfloat16().float(), x.sin() @ weight.bfloat16().float()]

    assert sum("_to_copy" in name for name in same(function, torch.randn(2, 3))) == 2  # there and back


def test_what_is_written_to_in_between_is_computed_again() -> None:
    def function(x: Tensor) -> list[Tensor]:
        y = x + 1
        view = y.view(-1)
        before = view * 2
        y.mul_(3)
        return [before, view * 2, y.view(-1) * 2]

    same(function, torch.randn(2, 3))


def test_products_are_added_in_place_where_the_summand_is_not_needed_again() -> None:
    weight, bias = torch.nn.Parameter(torch.randn(3, 3)), torch.nn.Parameter(torch.randn(3))

    def function(x: Tensor, given: Tensor) -> list[Tensor]:
        with torch.no_grad():
            kept = x + 1
            own = torch.addmm(x * 2, x, weight)
            seen = torch.addmm((x * 3).view(1, 2, 3)[0], x, weight)
            others = [torch.addmm(one, x, weight) for one in (kept, given, bias, weight[:2])]
            return [own, seen, *others, kept]

    names = same(function, torch.randn(2, 3), torch.randn(2, 3))
    assert (names.count("addmm_"), names.count("addmm")) == (2, 4)


def test_products_with_one_and_first_powers_are_left_out_unless_they_are_copies() -> None:
    def function(x: Tensor) -> list[Tensor]:
        y = x + 1
        copy = y * 1
        y.mul_(3)
        return [copy, y, (x.sin() * 1).cos(), (x.sin() ** 1).exp(), (x * 1).view(6)]

    names = same(function, torch.randn(2, 3))
    assert (names.count("mul"), names.count("pow")) == (2, 0)


def test_dimensions_that_are_dropped_at_once_are_not_kept() -> None:
    def function(x: Tensor) -> list[Tensor]:
        kept = x.sum(1, keepdim=True)
        return [x.sum(0, keepdim=True).view(3), kept.view(2), kept, x.sum(0, keepdim=True).view(3, 1)]

    assert same(function, torch.randn(2, 3)).count("view") == 2


def test_what_no_result_needs_is_left_out_also_where_it_is_written_in_place() -> None:
    def function(x: Tensor, given: Tensor) -> list[Tensor]:
        unused, used = x + 1, x - 1
        unused.mul_(3)
        used.view(-1).mul_(5)
        given.mul_(7)
        return [used, unused]

    traced = recording._trace(function, [torch.randn(2), torch.randn(2)])
    recorded = recording._finish(traced, outputs=[0])
    assert operations(recorded) == ["sub", "mul_", "mul_"]
    given = torch.ones(2)
    assert torch.equal(recorded(torch.full((2,), 3.0), given)[0], torch.full((2,), 10.0))
    assert torch.equal(given, torch.full((2,), 7.0))


@pytest.mark.parametrize("kind", [QAM, QAME])
def test_losses_recorded_together_with_metrics_take_no_operation_more(kind: type) -> None:
    algorithm = make(kind)
    example = make_batch(1), {name: draw[0] for name, draw in make_noise(algorithm).items()}
    for diagnose, together in RecordedGradients.of_both_kinds(algorithm, *example).items():
        alone = RecordedGradients(algorithm, *example, diagnose)
        assert operations(together.module) == operations(alone.module) and together.names == alone.names
