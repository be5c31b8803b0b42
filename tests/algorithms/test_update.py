"""The one update: population axis, who moves whom, recorded, order of targets and optimizer."""

from __future__ import annotations

import pytest
import torch

from qam_torch.algorithms import QAM, QAME, QAMF, Algorithm
from qam_torch.types import Batch, QamError
from tests.helpers.algorithms import B, make, make_batch, make_noise


def run(algorithm: Algorithm, batches: list[Batch], noise: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for u, batch in enumerate(batches):
        report = algorithm.update(batch, {name: draw[u] for name, draw in noise.items()}, diagnose=True)
    return report


@pytest.mark.slow
@pytest.mark.parametrize("recorded", [False, True])
def test_member_of_a_population_equals_its_lone_run(kind: type[Algorithm], recorded: bool) -> None:
    seeds, updates = (5, 1, 9), 8
    together = make(kind, seeds)
    together.recorded = recorded
    batches = [make_batch(3, seed=u) for u in range(updates)]
    run(together, batches, make_noise(together, updates))
    for p, seed in enumerate(seeds):
        alone = make(kind, (seed,))
        own = [Batch(*(field[p : p + 1] for field in batch)) for batch in batches]
        run(alone, own, make_noise(alone, updates))
        for name, parameter in alone.named_parameters():
            other = dict(together.named_parameters())[name][p]
            torch.testing.assert_close(other, parameter[0], rtol=1e-9, atol=1e-11, msg=f"{name} of seed {seed}")


@pytest.mark.slow
def test_members_with_different_numbers_equal_their_lone_runs() -> None:
    values = (0.3, 3.0)
    together = make(QAM, (1, 2), inv_temp=list(values))
    batch = make_batch(2)
    run(together, [batch], make_noise(together))
    for p, value in enumerate(values):
        alone = make(QAM, (p + 1,), inv_temp=value)
        run(alone, [Batch(*(field[p : p + 1] for field in batch))], make_noise(alone))
        theta = dict(together.networks["f_theta"].named_parameters())
        for name, parameter in alone.networks["f_theta"].named_parameters():
            torch.testing.assert_close(theta[name][p], parameter[0], rtol=1e-9, atol=1e-11)


def test_recorded_update_is_bit_for_bit_the_unrecorded_one(kind: type[Algorithm]) -> None:
    results = []
    for recorded in (False, True):
        algorithm = make(kind, (3, 4))
        algorithm.recorded = recorded
        report = run(algorithm, [make_batch(2, seed=u) for u in range(3)], make_noise(algorithm, 3))
        results.append((report, dict(algorithm.named_parameters())))
    (report_a, parameters_a), (report_b, parameters_b) = results
    assert report_a.keys() == report_b.keys()
    assert all(torch.equal(report_a[name], report_b[name]) for name in report_a)
    assert all(torch.equal(parameters_a[name], parameters_b[name]) for name in parameters_a)


@pytest.mark.slow
def test_recorded_update_reads_nothing_on_the_host(kind: type[Algorithm]) -> None:
    algorithm = make(kind)
    noise = {name: draw[0] for name, draw in make_noise(algorithm).items()}
    algorithm.update(make_batch(1), noise)
    (recording,) = algorithm.recordings.values()
    targets = {str(node.target) for node in recording.module.graph.nodes if node.op == "call_function"}
    host_reads = {t for t in targets if "local_scalar_dense" in t or "nonzero" in t or "item" in t.split(".")}
    assert targets and not host_reads


def test_each_loss_moves_only_the_networks_it_names(kind: type[Algorithm]) -> None:
    algorithm = make(kind)
    batch = make_batch(1)
    noise = {name: draw[0] for name, draw in make_noise(algorithm).items()}
    for term in algorithm.losses(batch, noise):
        for name, network in algorithm.networks.items():
            found = torch.autograd.grad(
                term.loss.sum(), list(network.parameters()), retain_graph=True, allow_unused=True
            )
            if name in term.trains:
                assert any(g is not None and g.abs().max() > 0 for g in found)
    _, gradients = algorithm.gradients(batch, noise)
    assert all(g is not None for g in gradients), "every online parameter is trained by some loss"
    assert all(p.grad is None and not p.requires_grad for p in algorithm.targets.parameters())


def test_critic_gradient_ignores_the_policy_losses(kind: type[Algorithm]) -> None:
    algorithm = make(kind)
    batch = make_batch(1)
    noise = {name: draw[0] for name, draw in make_noise(algorithm).items()}
    terms, gradients = algorithm.gradients(batch, noise)
    by_parameter = dict(zip(algorithm.networks.parameters(), gradients, strict=True))
    critic = list(algorithm.networks["critic"].parameters())
    alone = torch.autograd.grad(algorithm.losses(batch, noise)[0].loss.sum(), critic)
    for parameter, gradient in zip(critic, alone, strict=True):
        torch.testing.assert_close(by_parameter[parameter], gradient, rtol=1e-12, atol=1e-15)


def test_targets_move_before_the_optimizer(kind: type[Algorithm]) -> None:
    algorithm = make(kind, target_update_rate=0.25)
    with torch.no_grad():
        for target in algorithm.targets.parameters():
            target.zero_()
    before = {name: p.clone() for name, p in algorithm.networks.named_parameters()}
    run(algorithm, [make_batch(1)], make_noise(algorithm))
    for name, target in algorithm.targets.named_parameters():
        torch.testing.assert_close(target, 0.25 * before[name], rtol=1e-12, atol=0)
        assert not torch.equal(dict(algorithm.networks.named_parameters())[name], before[name])


def test_clipping_is_per_member_and_leaves_small_gradients_alone() -> None:
    algorithm = make(QAM, (1, 2))
    generator = torch.Generator().manual_seed(0)
    parameters = list(algorithm.networks.parameters())
    for p in parameters:
        p.grad = torch.randn(p.shape, generator=generator, dtype=torch.float64)
        p.grad[1] *= 1e-6
    expected = torch.stack([sum(p.grad[m].square().sum() for p in parameters).sqrt() for m in (0, 1)])  # type: ignore[union-attr, index]
    seen: list[torch.Tensor] = []
    algorithm.adam.step = lambda: seen.extend(p.grad.clone() for p in parameters)  # type: ignore[method-assign, union-attr]
    norm = algorithm.apply_gradients()
    torch.testing.assert_close(norm, expected)
    clipped = torch.stack([sum(g[m].square().sum() for g in seen).sqrt() for m in (0, 1)])  # type: ignore[arg-type]
    torch.testing.assert_close(clipped, torch.stack([torch.ones_like(norm[0]), norm[1]]))


def test_zero_inv_temp_and_equal_flows_give_zero_loss() -> None:
    algorithm = make(QAM, inv_temp=0.0)
    for flow in (algorithm.networks["f_theta"], algorithm.targets["f_beta"]):
        flow.load_state_dict(algorithm.networks["f_beta"].state_dict())
    noise = {name: draw[0] for name, draw in make_noise(algorithm).items()}
    matching = algorithm.losses(make_batch(1), noise)[2]
    assert matching.trains == ("f_theta",) and matching.loss.abs().max() < 1e-25


def test_n_step_mode_uses_the_chunks_first_action() -> None:
    algorithm = make(QAM, action_chunking=False)
    assert algorithm.chunk_dim == 2 and algorithm.chunk_discount == pytest.approx(0.99**3)
    batch = make_batch(1)
    noise = {name: draw[0] for name, draw in make_noise(algorithm).items()}
    first, _ = algorithm.gradients(batch, noise)
    changed = batch.actions.clone()
    changed[..., 2:] = 0.5
    second, _ = algorithm.gradients(batch._replace(actions=changed), noise)
    assert all(torch.equal(a.loss, b.loss) for a, b in zip(first, second, strict=True))
    assert algorithm.act(batch.observations, {"noise": torch.zeros(1, B, 2, dtype=torch.float64)}).shape == (1, B, 2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("inv_temp", -1.0),
        ("flow_steps", 0),
        ("num_qs", 0),
        ("rho", -0.1),
        ("horizon_length", 0),
        ("discount", 1.5),
        ("lr", 0.0),
        ("target_update_rate", 0.0),
        ("best_of_n", 0),
        ("seeds", ()),
        ("lr", [1e-3, 0.0]),
        ("inv_temp", [1.0, 2.0]),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(option: str, value: object) -> None:
    with pytest.raises(QamError, match=option):
        make(QAM, **{option: value})


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "number"), [(QAMF, "fql_alpha"), (QAME, "edit_scale")])
def test_without_what_is_on_top_a_variant_is_plain_qam(kind: type[Algorithm], number: str) -> None:
    """The paper's table has domains on which the best number is 0."""
    qam, variant = make(QAM), make(kind, **{number: 0.0})
    noise = make_noise(qam, updates=2)
    for u in range(2):
        for algorithm in (qam, variant):
            algorithm.update(make_batch(1, seed=u), {name: draw[u] for name, draw in noise.items()})
    plain, other = qam.state_dict(), variant.state_dict()
    assert plain.keys() == other.keys()
    assert all(torch.equal(plain[key], other[key]) for key in plain)
    assert variant.policy.draws(B).keys() == qam.policy.draws(B).keys()


def test_fql_alpha_is_zero_for_all_members_or_none() -> None:
    with pytest.raises(QamError, match="fql_alpha=.* all zero .* or all positive"):
        make(QAMF, seeds=(1, 2), fql_alpha=[0.0, 3.0])
