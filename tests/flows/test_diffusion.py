"""Denoising diffusion: the schedule against numbers by hand, the steps against what they must invert."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from qam_torch.flows import clean_step, diffuse, posterior_step, predict_clean, sample_diffusion, vp_alpha_bar


def test_schedule_by_hand() -> None:
    """T = 5: alpha_k = exp(-0.1 / 5 - 0.5 * 9.9 * (2 k - 1) / 25), multiplied up."""
    expected = 1.0
    assert vp_alpha_bar(0.0, 5) == 1
    for k in range(1, 6):
        expected *= math.exp(-0.1 / 5 - 0.5 * 9.9 * (2 * k - 1) / 25)
        assert vp_alpha_bar(float(k), 5) == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(math.exp(-5.05))
    steps = torch.tensor([1.0, 5.0], dtype=torch.float64)
    assert vp_alpha_bar(steps, 5).tolist() == pytest.approx([vp_alpha_bar(1.0, 5), expected])


def test_the_clean_action_is_found_again() -> None:
    clean, noise = torch.rand(4, 3, dtype=torch.float64) * 2 - 1, torch.randn(4, 3, dtype=torch.float64)
    for k in (1.0, 3.0, 5.0):
        alpha_bar = vp_alpha_bar(k, 5)
        x = diffuse(clean, noise, torch.tensor(alpha_bar, dtype=torch.float64))
        torch.testing.assert_close(predict_clean(x, noise, alpha_bar), clean)


@pytest.mark.parametrize("denoise_step", [posterior_step, clean_step])
def test_a_perfect_noise_predictor_reaches_the_only_action_there_is(denoise_step) -> None:  # type: ignore[no-untyped-def]
    target = torch.tensor([0.3, -0.7], dtype=torch.float64)

    def perfect(x: Tensor, k: float) -> Tensor:
        alpha_bar = vp_alpha_bar(k, 6)
        return (x - alpha_bar**0.5 * target) / (1 - alpha_bar) ** 0.5

    x, noise = torch.randn(5, 2, dtype=torch.float64), torch.randn(5, 5, 2, dtype=torch.float64)
    torch.testing.assert_close(sample_diffusion(perfect, x, noise, 6, denoise_step), target.expand(5, 2))


def test_posterior_step_keeps_the_marginal() -> None:
    """Denoised with the true noise, x_{k-1} is distributed as `diffuse` makes it: variance by hand."""
    k, steps, rows = 3, 5, 200_000
    generator = torch.Generator().manual_seed(0)
    noise, fresh = torch.randn(2, rows, 1, generator=generator, dtype=torch.float64)
    now, before = vp_alpha_bar(3.0, steps), vp_alpha_bar(2.0, steps)
    x = diffuse(torch.full((rows, 1), 0.5, dtype=torch.float64), noise, torch.tensor(now, dtype=torch.float64))
    beta = 1 - now / before
    posterior_std = (beta * (1 - before) / (1 - now)) ** 0.5
    stepped = posterior_step(x, noise, posterior_std * fresh, k, steps)
    assert stepped.mean().item() == pytest.approx(0.5 * before**0.5, abs=0.01)
    assert stepped.var().item() == pytest.approx(1 - before, abs=0.01)


def test_the_two_steps_differ_in_what_they_clip() -> None:
    """DAC clips the predicted x_0, then adds the noise unclipped; QSM clips the sum of both."""
    x, noise = torch.tensor([8.0]), torch.tensor([0.0])
    now, before = vp_alpha_bar(2.0, 4), vp_alpha_bar(1.0, 4)
    alpha = now / before
    mean = before**0.5 * (1 - alpha) / (1 - now) * 1.0 + alpha**0.5 * (1 - before) / (1 - now) * 8.0
    assert posterior_step(x, noise, 0.25, 2, 4).item() == pytest.approx(mean + 0.25)
    assert clean_step(x, noise, 0.25, 2, 4).item() == 1
    inside = torch.tensor([0.1])
    assert clean_step(inside, noise, 0.25, 2, 4).item() == pytest.approx(0.1 / now**0.5 + 0.25)


def test_noise_enters_in_order_with_the_weights_sqrt_beta_and_not_in_the_last_step() -> None:
    seen: list[tuple[float, float]] = []

    def denoise_step(x: Tensor, predicted: Tensor, scaled_noise: float | Tensor, k: int, steps: int) -> Tensor:
        seen.append((float(k), float(scaled_noise)))
        return x

    sample_diffusion(lambda x, k: x, torch.zeros(1), torch.tensor([[1.0], [10.0]]), 3, denoise_step)
    betas = [1 - vp_alpha_bar(k, 3) / vp_alpha_bar(k - 1, 3) for k in (3.0, 2.0)]
    assert seen == [(3, pytest.approx(betas[0] ** 0.5)), (2, pytest.approx(10 * betas[1] ** 0.5)), (1, 0.0)]
