"""Members that differ in their numbers, and what a member is without what it does not use."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from qam_torch import algorithms
from qam_torch.algorithms import QAM, QAME, Algorithm, DivergedError, FEdit
from qam_torch.types import Batch, QamError
from tests.helpers.algorithms import B, make, make_batch, make_noise

UPDATES = 20


def train(algorithm: Algorithm, batches: list[Batch], noise: dict[str, torch.Tensor]) -> Algorithm:
    algorithm.recorded = False
    for u, batch in enumerate(batches):
        algorithm.update(batch, {name: draw[u] for name, draw in noise.items()})
    return algorithm


def member_of(p: int, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: draw[:, p : p + 1] for name, draw in tensors.items()}


def alone(batches: list[Batch], p: int) -> list[Batch]:
    return [Batch(*(field[p : p + 1] for field in batch)) for batch in batches]


GRIDS = {
    "QAM": {"inv_temp": [0.3, 0.3, 10.0, 10.0], "rho": [0.0, 0.5, 0.0, 0.5]},
    "QAME": {"inv_temp": [0.3, 0.3, 10.0, 10.0], "edit_scale": [0.0, 0.1, 0.0, 0.1]},
    "FQL": {"fql_alpha": [3.0, 3.0, 300.0, 300.0], "lr": [1e-3, 1e-2, 1e-3, 1e-2]},
    "ReBRAC": {"target_update_rate": [0.005, 0.005, 0.5, 0.5], "actor_noise_clip": [0.1, 0.5, 0.1, 0.5]},
    "RLPD": {"discount": [0.9, 0.9, 0.99, 0.99], "rho": [0.0, 1.0, 0.0, 1.0]},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(GRIDS))
def test_members_of_a_grid_equal_their_lone_runs_after_twenty_updates(name: str) -> None:
    kind, grid = getattr(algorithms, name), GRIDS[name]
    seeds = (5, 5, 5, 1)  # cells of one seed differ in their numbers only
    batches = [make_batch(4, seed=u) for u in range(UPDATES)]
    together = make(kind, seeds, **grid)
    noise = make_noise(together, UPDATES)
    train(together, batches, noise)
    for p, seed in enumerate(seeds):
        own = {option: values[p] for option, values in grid.items()}
        lone = train(make(kind, (seed,), **own), alone(batches, p), make_noise(make(kind, (seed,), **own), UPDATES))
        for part, value in lone.state_dict().items():
            torch.testing.assert_close(together.state_dict()[part][p], value[0], rtol=1e-9, atol=1e-11, msg=part)
    moved = [dict(together.named_parameters())[name] for name in ("networks.critic.mlp.kernels.0",)]
    assert not torch.allclose(moved[0][0], moved[0][1], rtol=1e-6), "the numbers matter"


@pytest.mark.parametrize("kind", [QAME, FEdit])
def test_an_edit_scale_of_zero_is_the_method_without_edits(kind: type[Algorithm]) -> None:
    batches = [make_batch(2, seed=u) for u in range(5)]
    edited = make(kind, (4, 4), edit_scale=[0.0, 0.3], clip_grad=True)
    before = {name: p.clone() for name, p in edited.named_parameters()}
    noise = make_noise(edited, 5)
    train(edited, batches, noise)
    for name, parameter in edited.named_parameters():
        if name.startswith("networks.edit"):
            assert torch.equal(parameter[0], before[name][0]) and not torch.equal(parameter[1], before[name][1]), name
    own = {name: draw for name, draw in member_of(0, noise).items() if not name.startswith(("edit", "next_edit"))}
    if kind is QAME:
        base = train(make(QAM, (4,), clip_grad=True), alone(batches, 0), own)
        for name, parameter in base.state_dict().items():
            torch.testing.assert_close(edited.state_dict()[name][0], parameter[0], rtol=1e-9, atol=1e-12, msg=name)
    states = make_batch(2).observations
    draws = {name: torch.randn(2, *draw.shape, dtype=torch.float64) for name, draw in edited.policy.draws(B).items()}
    acted, flow = edited.act(states, draws), edited.flow_policy(states, {"noise": draws["noise"]})
    assert torch.equal(acted[0], flow[0]) and not torch.equal(acted[1], flow[1])


def test_members_are_named_by_their_seed_and_their_own_numbers() -> None:
    algorithm = make(QAM, (2, 7), inv_temp=[3.0, 0.30000001], lr=1e-3)
    assert [algorithm.name_of(p) for p in (0, 1)] == ["seed=2,inv_temp=3", "seed=7,inv_temp=0.30000001"]
    assert make(QAM, (2, 7)).name_of(1) == "seed=7"


@pytest.mark.parametrize("values", [[0.3], [0.3, 1.0, 2.0]])
def test_as_many_numbers_as_members(values: list[float]) -> None:
    with pytest.raises(QamError, match="for each of 2 members"):
        make(QAM, (1, 2), inv_temp=values)


def state_of(algorithm: Algorithm, p: int) -> dict[str, torch.Tensor]:
    """All that training changes of a member: networks, Polyak copies, and the optimizer's moments."""
    moments = {
        f"{name}/{kind}": algorithm.adam.state[parameter][kind][p].clone()
        for name, parameter in algorithm.networks.named_parameters()
        for kind in ("exp_avg", "exp_avg_sq")
    }
    return {**{name: value[p].clone() for name, value in algorithm.state_dict().items()}, **moments}


def freezing(kind: type[Algorithm], seeds: tuple[int, ...], recorded: bool = False, **options: object) -> Algorithm:
    algorithm = make(kind, seeds, **options)
    algorithm.freeze_diverged()
    algorithm.configure_optimizers()
    algorithm.recorded = recorded
    return algorithm


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("kind", [QAM, FEdit, algorithms.ReBRAC])
@pytest.mark.slow
def test_a_member_that_diverges_stays_as_it_was_and_the_others_go_on_bit_for_bit(
    kind: type[Algorithm], recorded: bool
) -> None:
    updates, lost_in = 6, 3
    batches = [make_batch(3, seed=u) for u in range(updates)]
    spoilt = [batch._replace(rewards=batch.rewards.clone()) for batch in batches]
    spoilt[lost_in].rewards[1, 2] = float("nan")
    runs = [freezing(kind, (1, 2, 3), recorded, lr=[1e-3, 1e-2, 1e-3]) for _ in range(2)]
    noise = make_noise(runs[0], updates)
    for u in range(updates):
        draws = {name: draw[u] for name, draw in noise.items()}
        if u == lost_in:
            before = state_of(runs[0], 1)
        for algorithm, given in zip(runs, (spoilt, batches), strict=True):
            algorithm.update(given[u], draws, diagnose=u == updates - 1)
    broken, sound = runs
    assert broken.divergence.diverged_at() == [None, lost_in + 1, None]
    assert sound.divergence.diverged_at() == [None] * 3
    kept = state_of(broken, 1)
    assert all(torch.equal(before[name], kept[name]) for name in before if name != "phase")
    for p in (0, 2):
        mine, theirs = state_of(broken, p), state_of(sound, p)
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert not torch.equal(kept["networks.critic.mlp.kernels.0"], state_of(sound, 1)["networks.critic.mlp.kernels.0"])


@pytest.mark.parametrize("freezes", [False, True])
def test_one_gradient_that_overflows_is_a_divergence_whatever_becomes_of_it(freezes: bool) -> None:
    """In float32 its norm is infinite, and clipped to norm 1 it moves nothing."""
    algorithm = make(QAM, (1, 2), clip_grad=True).float()
    if freezes:
        algorithm.freeze_diverged()
    algorithm.configure_optimizers()
    noise = {name: draw.float() for name, draw in make_noise(algorithm, 3).items()}
    batches = [Batch(*(field.float() for field in make_batch(2, seed=u))) for u in range(3)]
    batches[1].rewards[1] *= 3e19
    train(algorithm, batches, noise)
    assert all(parameter.isfinite().all() for parameter in algorithm.parameters())
    assert algorithm.divergence.diverged_at() == [None, 2]
    if freezes:
        algorithm.require_finite()
    else:
        with pytest.raises(DivergedError, match="infinite or NaN gradient of seed=2 at update 2; lower algo.lr"):
            algorithm.require_finite()


def test_a_trainer_of_ones_own_neither_saves_nor_ends_with_a_diverged_member() -> None:
    algorithm = make(QAM, (1, 2))
    algorithm.divergence.check(torch.ones(2))
    algorithm.on_save_checkpoint({})
    algorithm.on_train_end()
    algorithm.divergence.check(torch.tensor([1.0, torch.nan]))
    for hook in (lambda: algorithm.on_save_checkpoint({}), algorithm.on_train_end):
        with pytest.raises(DivergedError, match="gradient of seed=2 at update 2;"):
            hook()
    algorithm.freeze_diverged()
    content: dict[str, Any] = {}
    algorithm.on_save_checkpoint(content)
    assert content["divergence"]["alive"].tolist() == [True, False]


def test_copies_of_infinite_parameters_stay_as_they_were() -> None:
    algorithm = freezing(QAM, (1, 2))
    noise = {name: draw[0] for name, draw in make_noise(algorithm).items()}
    with torch.no_grad():
        for parameter in algorithm.networks.parameters():
            parameter[1] = float("inf")
    before = {name: value[1].clone() for name, value in algorithm.targets.state_dict().items()}
    algorithm.update(make_batch(2), noise)
    assert algorithm.divergence.diverged_at() == [None, 1]
    assert all(torch.equal(value[1], before[name]) for name, value in algorithm.targets.state_dict().items())


class NoHostReads(TorchDispatchMode):
    """Fails where a tensor's value is asked for by Python."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert "local_scalar" not in str(function) and "nonzero" not in str(function), function
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", [QAM, algorithms.ReBRAC])
def test_an_update_that_may_freeze_members_reads_nothing_on_the_host(kind: type[Algorithm]) -> None:
    algorithm = freezing(kind, (1, 2), lr=[1e-3, 1e-2], target_update_rate=[0.1, 0.2], rho=[0.0, 1.0])
    noise = {name: draw[0] for name, draw in make_noise(algorithm).items()}
    with NoHostReads():
        algorithm.update(make_batch(2), noise)


def test_freezing_changes_nothing_while_nobody_diverges() -> None:
    batches = [make_batch(2, seed=u) for u in range(4)]
    plain, watched = make(QAM, (1, 2)), freezing(QAM, (1, 2))
    noise = make_noise(plain, 4)
    for algorithm in (plain, watched):
        train(algorithm, batches, noise)
    for p in (0, 1):
        ours, theirs = state_of(watched, p), state_of(plain, p)
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-12, atol=1e-14, msg=name)
