"""Action selection with closed-form networks."""

from __future__ import annotations

import torch

from qam_torch.flows import guidance_velocity, predict_clean, vp_alpha_bar
from qam_torch.networks import GaussianSample
from qam_torch.policies import (
    BestOfN,
    DiffusionPolicy,
    EditedPolicy,
    FlowPolicy,
    GaussianPolicy,
    GuidedField,
    LatentPolicy,
    OneStepPolicy,
    PerturbedPolicy,
    min_over_critics,
    sum_of_fields,
)


def constant(value: float):
    return lambda observations: lambda x, t: torch.full_like(x, value)


def test_flow_policy_integrates_and_clips_only_the_end() -> None:
    policy = FlowPolicy(constant(3.0), action_dim=2, flow_steps=4)
    noise = {"noise": torch.tensor([[[-2.9, -5.0]]])}
    torch.testing.assert_close(policy(torch.zeros(1, 1, 1), noise), torch.tensor([[[0.1, -1.0]]]))
    assert policy.draws(7)["noise"].shape == (7, 2)


def test_residual_policy_adds_the_two_flows() -> None:
    policy = FlowPolicy(sum_of_fields(constant(0.25), constant(0.5)), 1, 5)
    torch.testing.assert_close(
        policy(torch.zeros(1, 1, 1), {"noise": torch.zeros(1, 1, 1)}), torch.full((1, 1, 1), 0.75)
    )


def test_one_step_and_edited_policies() -> None:
    one_step = OneStepPolicy(lambda s, z: 2 * z, 1)
    assert one_step(torch.zeros(1, 2, 1), {"noise": torch.tensor([[[0.2], [0.9]]])}).flatten().tolist() == [
        torch.tensor(0.4).item(),
        1.0,
    ]

    def editor(s: torch.Tensor, a: torch.Tensor, noise: torch.Tensor) -> GaussianSample:
        return GaussianSample(noise.tanh(), noise.sum(-1), torch.ones_like(noise))

    edited = EditedPolicy(one_step, editor, lambda a, e: (a + 0.1 * e).clamp(-1, 1), 1)
    assert set(edited.draws(3)) == {"noise", "edit_noise"}
    out = edited(torch.zeros(1, 1, 1), {"noise": torch.zeros(1, 1, 1), "edit_noise": torch.full((1, 1, 1), 50.0)})
    torch.testing.assert_close(out, torch.full((1, 1, 1), 0.1))


def test_best_of_n_takes_each_states_favorite_among_its_own_candidates() -> None:
    policy = OneStepPolicy(lambda s, z: z, 1)

    def critic(s: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        value = -(a - s).abs().squeeze(-1)  # likes actions near the state
        return torch.stack([value - 1, value + 1], dim=-2)

    best = BestOfN(policy, critic, 3)
    assert best.draws(2)["noise"].shape == (6, 1)
    noise = torch.tensor([[0.9, 0.1, -0.5, 0.0, -0.4, 0.8]]).unsqueeze(-1)
    out = best(torch.tensor([[[0.2], [-0.3]]]), {"noise": noise})
    torch.testing.assert_close(out.flatten(), torch.tensor([0.1, -0.4]))


def test_best_of_n_by_the_least_critic_is_another_choice() -> None:
    policy = OneStepPolicy(lambda s, z: z, 1)

    def critic(s: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return torch.stack([4 * a.squeeze(-1), -a.squeeze(-1)], dim=-2)  # the mean likes 1, the least likes 0

    noise = {"noise": torch.tensor([[[0.0], [1.0]]])}
    for score, expected in (({}, 1.0), ({"score": min_over_critics}, 0.0)):
        assert BestOfN(policy, critic, 2, **score)(torch.zeros(1, 1, 1), noise).item() == expected


def test_a_guided_field_adds_a_quadratic_values_guidance_after_the_first_step() -> None:
    def guidance(s: torch.Tensor, x: torch.Tensor, t: float) -> torch.Tensor:
        return 0.1 * guidance_velocity(-2 * (x - s), x, t, inv_temp=2.0)  # of Q(s, x) = -(x - s)^2

    policy = FlowPolicy(GuidedField(constant(0.5), guidance), 1, 2)
    out = policy(torch.full((1, 1, 1), 0.2), {"noise": torch.full((1, 1, 1), 0.1)})
    half = 0.1 + 0.5 * 0.5  # t = 0 is not guided
    velocity = 0.5 + 0.1 * ((1 - 0.5) * 2 * -2 * (half - 0.2) + half) / 0.5
    torch.testing.assert_close(out, torch.full((1, 1, 1), half + 0.5 * velocity))


def test_latent_policy_starts_the_flow_at_its_latent() -> None:
    policy = LatentPolicy(FlowPolicy(constant(0.25), 1, 3), lambda s, z: 2 * z.tanh() + s, 1)
    assert set(policy.draws(4)) == {"latent_noise"} and policy.draws(4)["latent_noise"].shape == (4, 1)
    out = policy(torch.full((1, 1, 1), 0.1), {"latent_noise": torch.full((1, 1, 1), 0.2)})
    torch.testing.assert_close(out, 2 * torch.full((1, 1, 1), 0.2).tanh() + 0.35)


def test_gaussian_and_disturbed_policies() -> None:
    def network(s: torch.Tensor, noise: torch.Tensor) -> GaussianSample:
        return GaussianSample((s + noise).tanh(), noise.sum(-1), torch.ones_like(noise))

    noise = {"noise": torch.full((1, 1, 1), 0.3)}
    assert GaussianPolicy(network, 1)(torch.zeros(1, 1, 1), noise).item() == torch.tensor(0.3).tanh().item()
    disturbed = PerturbedPolicy(lambda s: s, lambda z: (2 * z).clamp(-0.5, 0.5), 1)
    out = disturbed(torch.tensor([[[0.2], [0.9]]]), {"noise": torch.tensor([[[-0.1], [4.0]]])})
    torch.testing.assert_close(out.flatten(), torch.tensor([0.0, 1.0]))


def test_diffusion_policy_denoises_what_the_network_finds_and_clips_the_end() -> None:
    def network(s: torch.Tensor, x: torch.Tensor, k: float) -> torch.Tensor:
        return torch.zeros_like(x)  # no noise in it: x_0 = x / sqrt(alpha_bar)

    policy = DiffusionPolicy(network, 1, 1, lambda x, noise, perturbation, k, steps: predict_clean(x, noise, 0.25))
    assert {name: draw.shape for name, draw in policy.draws(3).items()} == {"noise": (3, 1), "ddpm_noise": (0, 3, 1)}
    noise = {"noise": torch.tensor([[[0.2], [0.9]]]), "ddpm_noise": torch.zeros(1, 0, 2, 1)}
    torch.testing.assert_close(policy(torch.zeros(1, 2, 1), noise).flatten(), torch.tensor([0.4, 1.0]))
    assert vp_alpha_bar(1.0, 1) < 0.01  # one step is nearly all of the noise
