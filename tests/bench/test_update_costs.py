"""Costs of an update of each method, in counts that are equal on every machine: a change that increases them fails.

The counts are in update_costs.json. After an intended change, `python -m tests.bench.test_update_costs` records them
again; the difference of the file shows the effect on each method.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from qam_torch.bench.parts import DRAWING, MOVING, UpdateInParts
from qam_torch.bench.workload import Workload, flop_counter, method_names
from tests.helpers.workloads import workload

FILE = Path(__file__).with_name("update_costs.json")
POPULATION = "qam, three members that may be frozen"
RENEW = "if this is meant: python -m tests.bench.test_update_costs"
HOST_READS = {"_local_scalar_dense", "item", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2"}
INDEXING = {"index", "index_put", "index_put_"}


class Costs(NamedTuple):
    """A method whose update is recorded in parts, and its like that is not.

    states     of the two after one update
    products   part -> matrix-product operations
    operators  part -> operations of any kind that Python calls
    """

    algo: str
    recorded: UpdateInParts
    plain: Workload
    states: list[dict[str, torch.Tensor]]
    products: dict[str, int]
    operators: dict[str, int]


class Operations(TorchDispatchMode):
    """Counts the operations that Python calls."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def operators_of(recorded: UpdateInParts) -> dict[str, int]:
    with Operations() as operations:
        return {part: round(count) for part, count in recorded.spent(1, lambda: operations.count).items()}


def operators_of_a_population() -> dict[str, int]:
    """What three members cost that may be frozen, and whose Adam is made member by member."""
    recorded = UpdateInParts(workload("qam", population=3, overrides=["on_divergence=freeze"]))
    recorded.spent(1, time.perf_counter)
    return operators_of(recorded)


def costs_of(algo: str) -> Costs:
    recorded, plain = UpdateInParts(workload(algo)), workload(algo)
    plain.example()  # as many draws as were made to record the other
    recorded.spent(1, time.perf_counter)
    plain.run(1)
    both = (recorded.workload.algorithm, plain.algorithm)
    states = [{name: value.clone() for name, value in one.state_dict().items()} for one in both]
    return Costs(algo, recorded, plain, states, recorded.flops(), operators_of(recorded))


FAST = ("qam", "dac")


@pytest.fixture(
    scope="module",
    params=[algo if algo in FAST else pytest.param(algo, marks=pytest.mark.slow) for algo in method_names()],
)
def costs(request: pytest.FixtureRequest) -> Costs:
    return costs_of(request.param)


def chooses_rows(index: object) -> bool:
    """Whether the host has to know how many rows this index of an indexing operation chooses."""
    return isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)


class HostReads(TorchDispatchMode):
    """Lists the operations that wait for a number from the device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in HOST_READS or (name in INDEXING and any(chooses_rows(one) for one in args[1])):
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.slow
def test_the_update_in_parts_is_the_update(costs: Costs) -> None:
    ours, plain = costs.states
    assert ours.keys() == plain.keys() and all(torch.equal(ours[name], plain[name]) for name in ours)


def test_parts_add_up_to_the_update(costs: Costs) -> None:
    with flop_counter() as counter:
        costs.recorded.spent(1, time.perf_counter)
    assert sum(costs.products.values()) == counter.get_total_flops()
    assert costs.products[MOVING] == costs.products[DRAWING] == 0 < costs.products["critic/loss"]
    losses = {next(iter(term.metrics())) for term in costs.plain.algorithm.losses(*costs.plain.example())}
    assert losses <= costs.products.keys(), "every loss has a part"


def test_products_by_part_are_as_many_as_ever(costs: Costs) -> None:
    assert costs.products == json.loads(FILE.read_text())["products"][costs.algo], RENEW


def require_no_more(operators: dict[str, int], name: str) -> None:
    """Another version of torch may take one or two more for the same."""
    known = json.loads(FILE.read_text())
    slack = 1.0 if ".".join(torch.__version__.split(".")[:2]) == known["torch"] else 1.1
    assert operators.keys() == known["operators"][name].keys(), RENEW
    more = {part: count for part, count in operators.items() if count > slack * known["operators"][name][part]}
    assert not more, RENEW


def test_operators_of_each_part_are_not_more_than_ever(costs: Costs) -> None:
    assert costs.operators[MOVING] > 0
    require_no_more(costs.operators, costs.algo)


def test_operators_of_a_population_are_not_more_than_ever() -> None:
    require_no_more(operators_of_a_population(), POPULATION)


def test_an_update_reads_nothing_on_the_host(costs: Costs) -> None:
    with HostReads() as reads:
        costs.plain.run(2)
        costs.recorded.spent(2, time.perf_counter)
    assert reads.found == []


def test_a_host_read_would_be_seen() -> None:
    with HostReads() as reads:
        float(torch.ones(3).sum())
        torch.ones(3)[torch.ones(3) > 0]
    assert reads.found == ["aten._local_scalar_dense.default", "aten.index.Tensor"]


def test_the_file_knows_every_method_and_no_other() -> None:
    known = json.loads(FILE.read_text())
    assert known["products"].keys() == known["operators"].keys() - {POPULATION} == set(method_names())


if __name__ == "__main__":
    torch.set_num_threads(1)
    every = [costs_of(algo) for algo in method_names()]
    found = {
        "torch": ".".join(torch.__version__.split(".")[:2]),
        "operators": {
            **{costs.algo: costs.operators for costs in every},
            POPULATION: operators_of_a_population(),
        },
        "products": {costs.algo: costs.products for costs in every},
    }
    FILE.write_text(json.dumps(found, indent=1) + "\n")
