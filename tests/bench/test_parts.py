"""The parts of an update: what each costs by definition, and that nothing is lost or counted twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from qam_torch.algorithms import QAM, LossTerm
from qam_torch.algorithms.core.fast_update import WARM_UP
from qam_torch.bench.parts import DRAWING, MOVING, UpdateInParts, measure_parts
from qam_torch.bench.workload import PRESETS, Size, flop_counter
from qam_torch.scopes import scope, watching
from qam_torch.types import Batch, Noise
from tests.helpers.emulated_cuda import Runtime
from tests.helpers.workloads import SMALL, workload


class Products:
    """Matrix-product operations of the networks of one member, from their definitions.

    A velocity's first layer is applied to s once a binding, and to t without a product. Differentiating a layer in its
    parameters costs as much as evaluating it, and so does differentiating it in its input.
    """

    def __init__(self, size: Size) -> None:
        rows, (first, *_), dim = 2 * size.batch_size, size.hidden, size.action_dim * size.horizon_length
        layers = rows * sum(i * o for i, o in zip(size.hidden, size.hidden[1:], strict=False))
        self.bind = rows * size.observation_dim * first
        self.enter = rows * dim * first
        self.last = rows * size.hidden[-1] * dim
        self.rest = layers + self.last
        self.velocity = self.enter + self.rest
        self.value = self.bind + self.enter + layers + rows * size.hidden[-1]
        self.critics = size.num_qs * self.value


def qam_flops(size: Size) -> dict[str, int]:
    """Part -> matrix-product operations of one member's update of QAM, without a repeated forward pass."""
    n, steps = Products(size), size.flow_steps
    return {
        DRAWING: 0,
        "acting in the TD target": n.bind + steps * n.velocity,
        # target; forward, parameters, inputs but the first layer's
        "critic/loss": n.critics + 3 * n.critics - size.num_qs * (n.bind + n.enter),
        # flow matching: forward, parameters, inputs but the first layer's
        "behavior/loss": 2 * (n.bind + n.velocity) + n.rest,
        # f_theta at all nodes but the last, f_beta at the last
        "memoryless SDE": steps * n.velocity,
        # the critic's action gradient; f_beta but its output at every node, and its vector-Jacobian product
        "lean adjoint": 2 * n.critics + steps * (2 * n.velocity - n.last),
        # the regression: both flows bound; f_theta at the last node, f_beta at the others; f_theta's parameters, and
        # inputs but the first layer's
        "adjoint/loss": 3 * n.bind + steps * n.velocity + steps * (n.velocity + n.rest),
        MOVING: 0,
    }


def reference_flops(size: Size) -> int:
    """The same update as the reference computes it: every velocity on s, x and t side by side, f_beta's output in the
    lean adjoint too, and for the regression both flows evaluated again at all nodes, those of the SDE once more.
    """
    n, steps = Products(size), size.flow_steps
    evaluated = n.velocity + n.bind + 2 * size.batch_size * size.hidden[0]
    acting = sampling = steps * evaluated
    critic = 4 * n.critics - size.num_qs * (n.bind + n.enter)
    flow_matching = 2 * evaluated + n.rest
    lean_adjoint = 2 * n.critics + steps * (evaluated + n.velocity)
    regression = steps * (2 * evaluated + evaluated + n.rest)
    return acting + sampling + critic + flow_matching + lean_adjoint + regression


@pytest.mark.slow
def test_the_papers_update_of_qam_is_about_56_gflop_and_61_as_the_reference_computes_it() -> None:
    """By hand 55.4 and 60.3; the update's own count is the smaller, made without a repeated forward pass."""
    paper = PRESETS["paper"]
    assert sum(qam_flops(paper).values()) == pytest.approx(56e9, rel=0.02)
    assert reference_flops(paper) == pytest.approx(61e9, rel=0.02)
    assert workload(size=paper, stack=1).flops() == sum(qam_flops(paper).values())


@pytest.mark.parametrize(("population", "flow_steps"), [(1, 4), (2, 1)])
@pytest.mark.slow
def test_an_update_of_qam_costs_what_its_definition_says(population: int, flow_steps: int) -> None:
    small = workload(size=SMALL._replace(flow_steps=flow_steps), population=population, recorded=True)
    parts = qam_flops(SMALL._replace(flow_steps=flow_steps))
    assert UpdateInParts(small).flops() == {name: population * count for name, count in parts.items()}
    assert small.flops() == population * sum(parts.values())


def test_the_recorded_update_does_the_counted_products() -> None:
    recorded = workload(recorded=True)
    batch, noise = recorded.example()
    recorded.algorithm.update(batch, noise)
    with flop_counter() as counter:
        recorded.algorithm.update(batch, noise)
    assert recorded.flops() == counter.get_total_flops()


def test_times_are_the_times_of_the_parts() -> None:
    """A clock that ticks at every reading makes them countable: one tick a visit of a part."""
    ticks = iter(range(10**6))
    found = measure_parts(workload(), updates=2, repeats=3, clock=lambda: float(next(ticks)))
    assert found[DRAWING]["ms"] == 500 and found[MOVING]["ms"] == 1000  # once in two updates; once in each
    assert all(part["ms"] >= 1000 for name, part in found.items() if name != DRAWING)


@pytest.mark.slow
def test_on_a_gpu_parts_are_graphs_that_together_are_the_update(cuda_graphs: Runtime) -> None:
    recorded, plain = UpdateInParts(workload()), workload()
    plain.example()  # as many draws as were made to record the other
    first = plain.example()
    for _ in range(WARM_UP):
        plain.algorithm.update(*first)
    seconds = recorded.seconds(2, time.perf_counter)
    plain.run(2)
    ours, theirs = recorded.workload.algorithm.state_dict(), plain.algorithm.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    visits = [part for part, _ in recorded.graphs]
    assert seconds == {DRAWING: 1, **{part: 2 * visits.count(part) for part in visits}}
    assert len(cuda_graphs.captures) == len(visits) > visits.count(MOVING) == 1
    assert seconds.keys() == recorded.flops().keys()


class Novel(QAM):
    """A custom method with a custom loss."""

    def losses(self, batch: Batch, noise: Noise) -> list[LossTerm]:
        wanted = torch.empty_like(batch.actions)
        with scope("a weight of its own"), torch.no_grad():
            weight = self.target("critic")(batch.observations, batch.actions).mean(-2)
        with torch.no_grad():
            wanted[0] = self.target("f_beta").bind(batch.observations)(batch.actions, 0.5)[0]
        own = self.network("f_theta").bind(batch.observations)(batch.actions, 0.5)
        loss = (weight * (own - wanted).square().sum(-1)).mean(-1)
        return [*super().losses(batch, noise), LossTerm(loss, lambda: {"novel/loss": loss}, ("f_theta",))]


def test_an_eighteenth_method_has_its_parts_without_a_word_here() -> None:
    novel = workload()
    novel.algorithm.__class__ = Novel
    n, qam, flops = Products(SMALL), qam_flops(SMALL), UpdateInParts(novel).flops()
    own = {
        "a weight of its own": n.critics,
        # f_beta; f_theta: forward, parameters, inputs but the first layer's
        "novel/loss": (n.bind + n.velocity) + 2 * (n.bind + n.velocity) + n.rest,
        # QAM binds the same flows to the same observations: once, and for whom it is first
        "adjoint/loss": qam["adjoint/loss"] - 2 * n.bind,
    }
    assert flops == {**qam, **own}


def test_scopes_do_nothing_unless_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[str] = []

    @contextmanager
    def watch(name: str) -> Iterator[None]:
        entered.append(name)
        yield

    small = workload(recorded=True)
    batch, noise = small.example()
    with watching(watch):
        small.algorithm.update(batch, noise)
        first = len(entered)
        small.algorithm.update(batch, noise)
    assert first == len(entered) == 6, "while it is recorded, and compared with what is not recorded"
    with scope("unused"):
        assert len(entered) == 6
    (recording,) = small.algorithm.recordings.values()
    assert not any("begin" in node.name for node in recording.module.graph.nodes)
