"""What is particular to RQL: two slow averages, two policies, a mask per step, and how far rows are reversed."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from qam_torch.algorithms import RQL, NamedNoise
from qam_torch.algorithms.core.acting import CollectingActor, PopulationActor
from qam_torch.types import Batch, QamError
from tests.helpers.algorithms import ACTION_DIM, B, H, make, make_batch, make_noise


def rql(seeds: tuple[int, ...] = (0,), **options: object) -> RQL:
    algorithm = make(RQL, seeds, **options)
    assert isinstance(algorithm, RQL)
    algorithm.recorded = False
    return algorithm


def one(algorithm: RQL) -> dict[str, torch.Tensor]:
    return {name: draw[0] for name, draw in make_noise(algorithm).items()}


def with_steps(batch: Batch, steps: list[int]) -> Batch:
    """The batch with the first n steps of each row inside its episode."""
    valid = (torch.arange(H) < torch.tensor(steps)[:, None]).double()
    return batch._replace(valid=valid.expand(len(batch.rewards), -1, -1))


def test_critic_and_flow_have_slow_averages_at_rates_of_their_own() -> None:
    algorithm = rql((0, 1), target_update_rate=0.1, ema=[0.7, 0.0])
    online = copy.deepcopy(algorithm.networks.state_dict())
    for p in algorithm.targets.parameters():
        p.data.zero_()
    algorithm.update(make_batch(2), one(algorithm))
    rates = {"critic": torch.tensor([0.1, 0.1]), "f_theta": torch.tensor([0.3, 1.0])}
    for name, copied in algorithm.targets.state_dict().items():
        rate = rates[name.split(".")[0]].double().view(2, *(1,) * (copied.ndim - 1))
        torch.testing.assert_close(copied, rate * online[name], rtol=1e-6, atol=0)


def test_the_slow_average_acts_in_evaluation_and_the_flow_itself_collects() -> None:
    algorithm = rql()
    with torch.no_grad():
        for p in algorithm.networks["f_theta"].parameters():
            p.zero_()
    states = np.zeros((1, 2, 3))
    collected = CollectingActor(algorithm, 2)
    noise = CollectingActor(algorithm, 2).noise.sample(1)["noise"][0]
    np.testing.assert_allclose(collected(states, np.ones(1, bool)), noise.clamp(-1, 1), rtol=1e-12)
    evaluated = PopulationActor(algorithm, stream="collect")(states)
    assert not np.allclose(evaluated, noise.clamp(-1, 1))


def test_half_of_the_rows_are_reversed_to_a_node_of_the_grid() -> None:
    algorithm = rql()
    draws = make_noise(algorithm, 200)
    depths = algorithm.depths({name: draw[:, 0] for name, draw in draws.items()})[..., 0]
    assert depths.shape == (200, B) and depths.min() >= 0 and depths.max() <= 1
    nodes = 4 * depths[:, B // 2 :]
    assert torch.equal(nodes, nodes.round()) and set(nodes.flatten().tolist()) == {0, 1, 2, 3, 4}
    free = 4 * depths[:, : B // 2]
    assert not torch.equal(free, free.round())


def test_an_odd_batch_has_one_more_row_that_is_reversed_anywhere() -> None:
    draws = rql().draws(7)
    assert (draws["reverse_d_uniform"].shape, draws["reverse_d_integers"].shape) == ((4,), (3,))


def test_a_cut_window_teaches_the_flow_its_steps_and_the_critics_nothing() -> None:
    algorithm, batch = rql(bc_alpha=1.0), make_batch(1)
    noise = one(algorithm)
    cut, whole = (algorithm.losses(with_steps(batch, [n] * B), noise) for n in (1, H))
    assert cut[0].loss.item() == cut[2].loss.item() == 0 != whole[0].loss.item()
    changed = batch._replace(rewards=batch.rewards + 1)
    assert algorithm.losses(with_steps(changed, [1] * B), noise)[1].loss.item() == cut[1].loss.item()
    x_0, t = noise["flow_x0"], noise["flow_t"]
    x_t = (1 - t) * x_0 + t * batch.actions
    error = algorithm.network("f_theta")(batch.observations, x_t, t) - (batch.actions - x_0)
    expected = error[..., :ACTION_DIM].square().sum() / error.numel()
    torch.testing.assert_close(cut[1].loss.sum(), expected)


def test_windows_without_a_mask_per_step_weigh_whole_rows() -> None:
    algorithm, batch = rql(windows="qam"), make_batch(1)
    noise, rows = one(algorithm), batch.valid[0]
    assert 0 < rows.sum() < B
    per_step = with_steps(batch, [H if valid else 0 for valid in rows.tolist()])
    for left, right in zip(algorithm.losses(batch, noise), algorithm.losses(per_step, noise), strict=True):
        torch.testing.assert_close(left.loss, right.loss)


def test_n_step_mode_uses_the_mask_of_the_first_step() -> None:
    algorithm, batch = rql(action_chunking=False), make_batch(1)
    batch = batch._replace(actions=batch.actions[..., :ACTION_DIM])
    noise = one(algorithm)
    cut, whole = (algorithm.losses(with_steps(batch, [n] * B), noise) for n in (1, H))
    assert cut[1].loss.item() == whole[1].loss.item() and cut[0].loss.item() == 0


def test_a_method_declares_its_windows() -> None:
    assert rql().windows == "rql" and rql(windows="qam").windows == "qam"
    with pytest.raises(QamError, match="windows=rows is out of range: expected qam or rql"):
        rql(windows="rows")


@pytest.mark.parametrize(("option", "value"), [("bc_alpha", -1.0), ("kappa", 0.0), ("kappa", 1.0), ("ema", 1.0)])
def test_numbers_out_of_range_are_refused_by_name(option: str, value: float) -> None:
    with pytest.raises(QamError, match=option):
        rql(**{option: value})


def bandit(bc_alpha: float, updates: int = 200, rows: int = 64) -> float:
    """Mean reward -4 (a - 1/2)^2 of the policy's actions, learned from actions that are uniform on [-1, 1]."""
    options = {"ema": 0.99, "lr": 3e-3, "target_update_rate": 0.05, "rho": 0.0, "num_qs": 2}
    algorithm = RQL(
        observation_dim=1, action_dim=1, horizon_length=1, flow_steps=3, bc_alpha=bc_alpha, **options,
        actor_hidden_dims=(16, 16), value_hidden_dims=(16, 16),
    )  # fmt: skip
    algorithm.configure_optimizers()
    noise = NamedNoise(algorithm.draws(rows), (0,), "test").sample(updates)
    generator = torch.Generator().manual_seed(0)
    state, zeros, valid = torch.zeros(1, rows, 1), torch.zeros(1, rows), torch.ones(1, rows, 1)
    for u in range(updates):
        actions = 2 * torch.rand(1, rows, 1, generator=generator) - 1
        batch = Batch(state, actions, -4 * (actions[..., 0] - 0.5).square(), zeros, valid, state)
        algorithm.update(batch, {name: draw[u] for name, draw in noise.items()})
    acted = algorithm.act(torch.zeros(1, 1000, 1), {"noise": torch.randn(1, 1000, 1, generator=generator)})
    return -4 * (acted - 0.5).square().mean().item()


@pytest.mark.slow
def test_the_flow_learns_the_best_action() -> None:
    """Uniform actions, as in the data, have a mean reward of -7/3, the best one 0."""
    assert bandit(0.1) > -0.5


def test_another_solver_than_the_one_that_its_critics_learn_is_refused() -> None:
    with pytest.raises(QamError, match=r"algo\.solver=midpoint cannot be used with RQL, .*: give algo\.solver=euler"):
        rql(solver="midpoint")
    assert rql(solver="euler").flow_policy.solver == "euler"
