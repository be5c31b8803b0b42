"""Acting rules on closed-form networks."""

from __future__ import annotations

import torch

from qam_torch.networks import GaussianSample
from qam_torch.policies import BestOfN, EditedPolicy, FlowPolicy, OneStepPolicy, sum_of_fields


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


def test_best_of_n_takes_each_states_favourite_among_its_own_candidates() -> None:
    policy = OneStepPolicy(lambda s, z: z, 1)

    def critic(s: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        value = -(a - s).abs().squeeze(-1)  # likes actions near the state
        return torch.stack([value - 1, value + 1], dim=-2)

    best = BestOfN(policy, critic, 3)
    assert best.draws(2)["noise"].shape == (6, 1)
    noise = torch.tensor([[0.9, 0.1, -0.5, 0.0, -0.4, 0.8]]).unsqueeze(-1)
    out = best(torch.tensor([[[0.2], [-0.3]]]), {"noise": noise})
    torch.testing.assert_close(out.flatten(), torch.tensor([0.1, -0.4]))
