"""Networks against torch.nn and torch.distributions, and the population axis."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from qam_torch.networks import (
    MLP,
    CriticEnsemble,
    DeterministicNetwork,
    GaussianNetwork,
    NoisePredictor,
    TimeConditionedCritics,
    ValueNetwork,
    VelocityField,
    polyak_copy,
    polyak_update,
)
from qam_torch.networks.mlp import gelu
from qam_torch.types import Linearizable


def generators(members: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(p) for p in range(members)]


def as_sequential(mlp: MLP, index: tuple[int, ...]) -> nn.Sequential:
    """The same network out of torch's own layers."""
    layers: list[nn.Module] = []
    for i, (kernel, bias) in enumerate(zip(mlp.kernels, mlp.biases, strict=True)):
        linear = nn.Linear(*kernel.shape[-2:]).double()
        linear.weight.data, linear.bias.data = kernel[index].T.clone(), bias[index][0].clone()
        layers.append(linear)
        if i < len(mlp.kernels) - 1:
            layers.append(nn.GELU(approximate="tanh"))
            if len(mlp.scales):
                norm = nn.LayerNorm(kernel.shape[-1], eps=1e-6).double()
                norm.weight.data, norm.bias.data = mlp.scales[i][index][0].clone(), mlp.shifts[i][index][0].clone()
                layers.append(norm)
    return nn.Sequential(*layers)


@pytest.mark.parametrize("ensemble", [(1,), (3,), (1, 1), (1, 4), (2, 3)])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_mlp_equals_torch_layers_member_by_member(ensemble: tuple[int, ...], layer_norm: bool) -> None:
    mlp = MLP(ensemble, 5, (7, 6), 2, layer_norm).double()
    mlp.initialize(generators(ensemble[0]))
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    x = torch.randn(ensemble[0], 9, 5, dtype=torch.float64)
    out = mlp(x)
    assert out.shape == (*ensemble, 9, 2)
    for flat in range(math.prod(ensemble)):
        index = tuple(int(i) for i in torch.unravel_index(torch.tensor(flat), ensemble))
        torch.testing.assert_close(out[index], as_sequential(mlp, index)(x[index[0]]), rtol=1e-12, atol=1e-12)


def test_gelu_equals_torchs_with_first_derivative_and_under_torch_func() -> None:
    x = torch.linspace(-9, 9, 301, dtype=torch.float64, requires_grad=True)
    reference = torch.nn.functional.gelu(x, approximate="tanh")
    torch.testing.assert_close(gelu(x), reference, rtol=1e-12, atol=1e-14)
    (ours,) = torch.autograd.grad(gelu(x).sum(), x)
    (theirs,) = torch.autograd.grad(reference.sum(), x)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    _, pullback = torch.func.vjp(gelu, x.detach())
    torch.testing.assert_close(pullback(torch.ones_like(x))[0], theirs, rtol=1e-12, atol=1e-14)
    assert torch.autograd.gradcheck(gelu, (x[:20],))


def test_initialisation_is_xavier_uniform_and_per_member() -> None:
    mlp = MLP((2,), 300, (200,), 100)
    mlp.initialize(generators(2))
    bound = math.sqrt(6 / 500)
    assert mlp.kernels[0].abs().max() <= bound and mlp.kernels[0].abs().max() > 0.99 * bound
    assert abs(mlp.kernels[0].std() - bound / math.sqrt(3)) < 0.01 * bound
    assert not torch.equal(mlp.kernels[0][0], mlp.kernels[0][1]) and mlp.biases[0].abs().max() == 0
    lone = MLP((1,), 300, (200,), 100)
    lone.initialize(generators(2)[1:])
    assert torch.equal(lone.kernels[1][0], mlp.kernels[1][1])


@pytest.mark.parametrize("members", [1, 3])
def test_bound_velocity_equals_the_plain_mlp_for_every_kind_of_time(members: int) -> None:
    field = VelocityField(members, 4, 3, (8, 8)).double()
    field.initialize(generators(members))
    s = torch.randn(members, 6, 4, dtype=torch.float64)
    x = torch.randn(members, 6, 3, dtype=torch.float64)
    rows = torch.rand(members, 6, 1, dtype=torch.float64)
    plain = field.mlp(torch.cat([s, x, rows], dim=-1))
    torch.testing.assert_close(field(s, x, rows), plain, rtol=1e-12, atol=1e-12)
    number = field.mlp(torch.cat([s, x, torch.full_like(rows, 0.3)], dim=-1))
    torch.testing.assert_close(field(s, x, 0.3), number, rtol=1e-12, atol=1e-12)
    path = torch.randn(5, members, 6, 3, dtype=torch.float64)
    times = torch.rand(5, 1, 1, 1, dtype=torch.float64)
    together = field.bind(s)(path, times)
    one_by_one = torch.stack([field(s, x_t, float(t)) for x_t, t in zip(path, times, strict=True)])
    torch.testing.assert_close(together, one_by_one, rtol=1e-12, atol=1e-12)


def test_critics_are_independent_members() -> None:
    critic = CriticEnsemble(2, 3, 4, 2, (8,)).double()
    critic.initialize(generators(2))
    s, a = torch.randn(2, 5, 4, dtype=torch.float64), torch.randn(2, 5, 2, dtype=torch.float64)
    q = critic(s, a)
    assert q.shape == (2, 3, 5)
    with torch.no_grad():
        critic.mlp.kernels[0][1, 2].zero_()
    changed = (critic(s, a) != q).any(-1)
    assert changed.tolist() == [[False, False, False], [False, False, True]]


def test_tanh_gaussian_log_prob_equals_torch_distributions() -> None:
    policy = GaussianNetwork(2, 5, 3, (8, 8)).double()
    policy.initialize(generators(2))
    s, noise = torch.randn(2, 6, 5, dtype=torch.float64), torch.randn(2, 6, 3, dtype=torch.float64)
    sample = policy(s, noise=noise)
    features = policy.trunk(s)
    normal = torch.distributions.Normal(policy.mean(features), policy.log_std(features).clamp(-20, 2).exp())
    raw = normal.mean + normal.stddev * noise
    tanh = torch.distributions.TanhTransform(cache_size=1)  # which remembers raw: atanh(tanh(raw)) loses digits
    value = tanh(raw)
    expected = torch.distributions.TransformedDistribution(normal, tanh).log_prob(value).sum(-1)
    torch.testing.assert_close(sample.value, value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sample.log_prob, expected, rtol=1e-10, atol=1e-10)


def test_polyak_copy_is_constant_and_moves_by_the_rate() -> None:
    mlp = MLP((1,), 3, (4,), 2)
    mlp.initialize(generators(1))
    target = polyak_copy(mlp)
    with torch.no_grad():
        for parameter in mlp.parameters():
            parameter.add_(1.0)
    polyak_update(list(target.parameters()), list(mlp.parameters()), 0.1)
    for average, parameter in zip(target.parameters(), mlp.parameters(), strict=True):
        assert not average.requires_grad
        torch.testing.assert_close(average, parameter - 0.9)


def test_polyak_rate_may_be_a_tensor_that_is_zero() -> None:
    averages, sources = [torch.zeros(2, 3, dtype=torch.float64)], [torch.ones(2, 3, dtype=torch.float64)]
    for rate in (0.25, 0.0):
        polyak_update(averages, sources, torch.tensor(rate, dtype=torch.float64))
        torch.testing.assert_close(averages[0], torch.full((2, 3), 0.25, dtype=torch.float64), rtol=0, atol=0)


def test_mlp_takes_another_activation() -> None:
    mlp = MLP((2,), 3, (4,), 2, activation=nn.functional.mish).double()
    mlp.initialize(generators(2))
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    for p in range(2):
        hidden = nn.functional.mish(x[p] @ mlp.kernels[0][p] + mlp.biases[0][p])
        torch.testing.assert_close(mlp(x)[p], hidden @ mlp.kernels[1][p] + mlp.biases[1][p])


def test_log_density_of_a_given_action_is_that_of_the_draw_that_makes_it() -> None:
    network = GaussianNetwork(2, 3, 2, (8,)).double()
    network.initialize(generators(2))
    generator = torch.Generator().manual_seed(1)
    distribution = network.distribution(torch.randn(2, 5, 3, dtype=torch.float64, generator=generator))
    draw = distribution.rsample(torch.randn(2, 5, 2, dtype=torch.float64, generator=generator))
    assert draw.value.abs().max() < 1 - 1e-6  # beyond it, an action stands for the edge
    torch.testing.assert_close(distribution.log_prob(draw.value), draw.log_prob)
    torch.testing.assert_close(draw.std, distribution.log_std.exp())
    edge = distribution.log_prob(torch.ones(2, 5, 2, dtype=torch.float64))
    assert edge.isfinite().all()
    torch.testing.assert_close(edge, distribution.log_prob(torch.full((2, 5, 2), 1 - 1e-6, dtype=torch.float64)))


def test_timed_critics_take_real_actions_for_those_of_time_one() -> None:
    critic = TimeConditionedCritics(2, 3, 4, 2, (8,)).double()
    critic.initialize(generators(2))
    s, a = torch.randn(2, 5, 4, dtype=torch.float64), torch.randn(2, 5, 2, dtype=torch.float64)
    times = torch.rand(2, 5, 1, dtype=torch.float64)
    assert torch.equal(critic(s, a), critic(s, a, 1.0)) and critic(s, a).shape == (2, 3, 5)
    for b in range(5):
        lone = critic(s[:, b : b + 1], a[:, b : b + 1], times[:, b : b + 1])
        torch.testing.assert_close(critic(s, a, times)[..., b : b + 1], lone)
    assert not torch.allclose(critic(s, a), critic(s, a, 0.5))


def test_value_network_is_one_number_a_state() -> None:
    value = ValueNetwork(2, 4, (8,)).double()
    value.initialize(generators(2))
    s = torch.randn(2, 5, 4, dtype=torch.float64)
    assert value(s).shape == (2, 5)
    torch.testing.assert_close(value(s)[1], as_sequential(value.mlp, (1,))(s[1]).squeeze(-1))


def test_deterministic_network_starts_near_the_middle() -> None:
    plain = MLP((2,), 64, (), 64).double()
    network = DeterministicNetwork(2, 4, 64, (64,)).double()
    plain.initialize(generators(2))
    network.initialize(generators(2))
    bound = math.sqrt(6 / 128)
    assert network.mean.kernels[0].abs().max().item() == pytest.approx(0.1 * bound, rel=0.01)
    assert plain.kernels[0].abs().max().item() == pytest.approx(bound, rel=0.01)
    assert network(100 * torch.randn(2, 5, 4, dtype=torch.float64)).abs().max() < 1


@pytest.mark.parametrize("members", [1, 2])
def test_noise_predictor_by_hand(members: int) -> None:
    network = NoisePredictor(members, 4, 2, (8, 6), time_dim=10).double()
    network.initialize(generators(members))
    s, x = torch.randn(members, 5, 4, dtype=torch.float64), torch.randn(members, 5, 2, dtype=torch.float64)
    mish = nn.functional.mish
    for k in (1.0, 3.0):
        for p in range(members):
            angles = 2 * math.pi * k * network.frequencies[p]
            features = torch.cat([angles.cos(), angles.sin()], -1)
            time, mlp = network.time, network.mlp
            features = mish(features @ time.kernels[0][p] + time.biases[0][p]) @ time.kernels[1][p] + time.biases[1][p]
            h = torch.cat([x[p], s[p], features.expand(5, -1)], -1)
            for i in range(2):
                h = mish(h @ mlp.kernels[i][p] + mlp.biases[i][p])
            torch.testing.assert_close(network(s, x, k)[p], h @ mlp.kernels[2][p] + mlp.biases[2][p])
        steps = torch.full((members, 5, 1), k, dtype=torch.float64)
        torch.testing.assert_close(network(s, x, steps), network(s, x, k))
    assert network.frequencies.std().item() == pytest.approx(0.2, abs=0.15)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("layer_norm", [False, True])
def test_pullbacks_along_a_path_are_those_of_each_node(members: int, layer_norm: bool) -> None:
    field = VelocityField(members, 4, 2, (7, 6, 5), layer_norm).double()
    field.initialize(generators(members))
    velocity = field.bind(torch.randn(members, 9, 4, dtype=torch.float64))
    xs, gs = torch.randn(2, 5, members, 9, 2, dtype=torch.float64)
    ts = torch.rand(5, 1, 1, 1, dtype=torch.float64)
    assert isinstance(velocity, Linearizable)
    for pullback, x, t, g in zip(velocity.linearize(xs, ts), xs, ts, gs, strict=True):
        (expected,) = torch.func.vjp(lambda point, t=t: velocity(point, t), x)[1](g)
        torch.testing.assert_close(pullback(g), expected, rtol=1e-12, atol=1e-13)
