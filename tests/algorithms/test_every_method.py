"""What must hold for every method, whatever it learns."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from qam_torch import algorithms
from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.signatures import PER_MEMBER, annotations_of
from qam_torch.inference.load_algorithm import load_algorithm
from qam_torch.rundir.checkpoints import SECTION
from qam_torch.training.description import describe
from qam_torch.types import Batch
from tests.helpers.algorithms import (
    ACTION_DIM,
    EVERY_METHOD,
    OBSERVATION_DIM,
    B,
    H,
    kind_of,
    make,
    make_batch,
    make_noise,
)

SEEDS, UPDATES = (7, 3), 3


class Runs(NamedTuple):
    """The same updates of a population of two, with and without recording, and of each member alone."""

    recorded: Algorithm
    unrecorded: Algorithm
    lone: list[Algorithm]
    reports: list[dict[str, Tensor]]


def batches(members: int) -> list[Batch]:
    return [make_batch(members, seed=u) for u in range(UPDATES)]


def train(algorithm: Algorithm, given: list[Batch]) -> dict[str, Tensor]:
    noise = make_noise(algorithm, UPDATES)
    for u, batch in enumerate(given):
        report = algorithm.update(batch, {name: draw[u] for name, draw in noise.items()}, diagnose=True)
    return report


def one(algorithm: Algorithm) -> dict[str, Tensor]:
    return {name: draw[0] for name, draw in make_noise(algorithm).items()}


FAST = ("QAM", "DSRL", "RQL")


@pytest.fixture(
    scope="module",
    params=[name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in EVERY_METHOD],
)
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    kind, numbers = kind_of(request.param), EVERY_METHOD[request.param]
    together, reports = [], []
    for recorded in (True, False):
        algorithm = make(kind, SEEDS, **{name: list(values) for name, values in numbers.items()})
        algorithm.recorded = recorded
        reports.append(train(algorithm, batches(2)))
        together.append(algorithm)
    lone = []
    for p, seed in enumerate(SEEDS):
        alone = make(kind, (seed,), **{name: values[p] for name, values in numbers.items()})
        alone.recorded = False
        train(alone, [Batch(*(field[p : p + 1] for field in batch)) for batch in batches(2)])
        lone.append(alone)
    yield Runs(*together, lone, reports)


def test_the_table_of_methods_is_complete() -> None:
    public = {getattr(algorithms, name) for name in algorithms.__all__ if isinstance(getattr(algorithms, name), type)}
    bases = {Algorithm, algorithms.ActorCritic, algorithms.FlowActorCritic}
    methods = {kind for kind in public if issubclass(kind, Algorithm)} - bases
    assert methods == {kind_of(name) for name in EVERY_METHOD}
    for name, numbers in EVERY_METHOD.items():
        declared = {argument for argument, note in annotations_of(kind_of(name)).items() if note == PER_MEMBER}
        assert numbers.keys() == declared, name


@pytest.mark.slow
def test_recorded_update_is_bit_for_bit_the_unrecorded_one(runs: Runs) -> None:
    (report, expected), states = runs.reports, [a.state_dict() for a in (runs.recorded, runs.unrecorded)]
    assert report.keys() == expected.keys() and states[0].keys() == states[1].keys()
    assert all(torch.equal(report[name], expected[name]) for name in report)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_recorded_update_reads_nothing_on_the_host(runs: Runs) -> None:
    (recording,) = runs.recorded.recordings.values()
    targets = {str(node.target) for node in recording.module.graph.nodes if node.op == "call_function"}
    assert targets and not {t for t in targets if "local_scalar_dense" in t or "nonzero" in t or "item" in t.split(".")}


def test_member_of_a_population_equals_its_lone_run(runs: Runs) -> None:
    together = runs.recorded.state_dict()
    for p, alone in enumerate(runs.lone):
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(together[name][p], value[0], rtol=1e-9, atol=1e-11, msg=f"{name} of member {p}")


def test_every_metric_is_one_finite_number_a_member(runs: Runs) -> None:
    for name, value in runs.reports[0].items():
        assert value.shape == (2,) and value.isfinite().all(), name


def test_a_checkpoint_acts_as_the_member_that_was_saved(runs: Runs) -> None:
    algorithm = runs.recorded
    numbers = EVERY_METHOD[type(algorithm).__name__]
    arguments = {
        "observation_dim": OBSERVATION_DIM,
        "action_dim": ACTION_DIM,
        "seeds": list(SEEDS),
        "horizon_length": H,
        "num_qs": 3,
        **{name: 4 for name in ("flow_steps", "diffusion_steps") if name in annotations_of(type(algorithm))},
        "actor_hidden_dims": [8, 8],
        "value_hidden_dims": [8, 8],
        **{name: list(values) for name, values in numbers.items()},
    }
    file = io.BytesIO()
    torch.save({"state_dict": algorithm.state_dict(), SECTION: describe(algorithm, arguments, {}, {})}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    states = make_batch(2).observations
    for member in (0, 1):
        loaded = load_algorithm(saved, member)
        rows = {name: torch.randn(2, *draw.shape, dtype=torch.float64) for name, draw in loaded.policy.draws(B).items()}
        expected = algorithm.act(states, rows)[member]
        own = loaded.act(states[member : member + 1], {name: draw[member : member + 1] for name, draw in rows.items()})
        torch.testing.assert_close(own[0], expected, rtol=1e-9, atol=1e-11)
        assert expected.abs().max() <= 1 and not torch.equal(expected, algorithm.act(states, rows)[1 - member])


@pytest.fixture(params=list(EVERY_METHOD))
def method(request: pytest.FixtureRequest) -> type[Algorithm]:
    return kind_of(request.param)


def test_every_gradient_is_that_of_the_losses_which_name_the_network(method: type[Algorithm]) -> None:
    algorithm = make(method)
    batch, noise = make_batch(1), one(algorithm)
    _, gradients = algorithm.gradients(batch, noise)
    found = dict(zip(algorithm.networks.parameters(), gradients, strict=True))
    summands: dict[str, list[Tensor]] = defaultdict(list)
    for term in algorithm.losses(batch, noise):
        for name in term.trains:
            summands[name].append(term.loss.sum())
            own = torch.autograd.grad(
                term.loss.sum(), list(algorithm.networks[name].parameters()), retain_graph=True, allow_unused=True
            )
            assert any(gradient is not None for gradient in own), f"a loss names {name} and does not reach it"
    assert summands.keys() == set(algorithm.networks), "every network is moved by some loss"
    for name, losses in summands.items():
        parameters = list(algorithm.networks[name].parameters())
        expected = torch.autograd.grad(torch.stack(losses).sum(), parameters, retain_graph=True)
        for parameter, gradient in zip(parameters, expected, strict=True):
            torch.testing.assert_close(found[parameter], gradient, rtol=1e-9, atol=1e-13)
        assert any(gradient.abs().max() > 0 for gradient in expected), name
    assert not any(p.requires_grad for p in algorithm.targets.parameters())


def test_n_step_mode_learns_from_the_chunks_first_action(method: type[Algorithm]) -> None:
    algorithm = make(method, action_chunking=False, best_of_n=2)
    algorithm.recorded = False
    batch, noise = make_batch(1), one(algorithm)
    changed = batch.actions.clone()
    changed[..., ACTION_DIM:] = 0.5
    first, _ = algorithm.gradients(batch, noise)
    second, _ = algorithm.gradients(batch._replace(actions=changed), noise)
    assert all(torch.equal(a.loss, b.loss) for a, b in zip(first, second, strict=True))
    before = {name: p.clone() for name, p in algorithm.networks.named_parameters()}
    algorithm.update(batch, noise)
    assert not any(torch.equal(before[name], p) for name, p in algorithm.networks.named_parameters())
    draws = {name: torch.zeros(1, *draw.shape, dtype=torch.float64) for name, draw in algorithm.policy.draws(B).items()}
    assert algorithm.act(batch.observations, draws).shape == (1, B, ACTION_DIM)


def test_targets_start_as_copies_and_move_before_the_optimizer(method: type[Algorithm]) -> None:
    options = {"target_update_every": 1, "ema": 0.75}
    taken = {name: value for name, value in options.items() if name in annotations_of(method)}
    algorithm = make(method, target_update_rate=0.25, **taken)
    algorithm.recorded = False
    online = {name: p.clone() for name, p in algorithm.networks.named_parameters()}
    for name, target in algorithm.targets.named_parameters():
        assert torch.equal(target, online[name])
        target.data.zero_()
    algorithm.update(make_batch(1), one(algorithm))
    for name, target in algorithm.targets.named_parameters():
        torch.testing.assert_close(target, 0.25 * online[name], rtol=1e-12, atol=0)


@pytest.mark.parametrize("best_of_n", [2, 3])
def test_best_of_n_prefers_what_the_critic_does(method: type[Algorithm], best_of_n: int) -> None:
    algorithm = make(method, best_of_n=best_of_n)
    single = make(method, best_of_n=1)
    states = make_batch(1).observations
    draws = algorithm.policy.draws(B)
    noise = {name: torch.randn(1, *draw.shape, dtype=torch.float64) for name, draw in draws.items()}
    rows = states.repeat_interleave(best_of_n, dim=1)
    candidates = single.act(rows, noise).unflatten(1, (B, best_of_n))
    q = algorithm.networks["critic"](rows, candidates.flatten(1, 2))
    scores = (q.amin(1) if method is algorithms.IFQL else q.mean(1)).unflatten(-1, (B, best_of_n))
    expected = torch.stack([candidates[0, b, scores[0, b].argmax()] for b in range(B)])
    torch.testing.assert_close(algorithm.act(states, noise)[0], expected)
