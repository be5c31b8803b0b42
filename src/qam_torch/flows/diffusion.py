"""Denoising diffusion in discrete steps, from noise (k = T) to data (k = 0)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from torch import Tensor

__all__ = ["clean_step", "diffuse", "posterior_step", "predict_clean", "sample_diffusion", "vp_alpha_bar"]

BETA_MIN, BETA_MAX = 0.1, 10.0

Step = TypeVar("Step", float, Tensor)
DenoiseStep = Callable[[Tensor, Tensor, "float | Tensor", int, int], Tensor]
"""(x, predicted noise, scaled noise, k, steps) -> x after step k."""


def vp_alpha_bar(k: Step, steps: int) -> Step:
    """Fraction of the data's variance that remains after k of T steps of the variance-preserving schedule.

    Args:
        k: step, a number or tensor (*,) in [0, steps].
        steps: T; >= 1.

    Returns:
        (*,) exp(-(beta_min s + (beta_max - beta_min) s^2 / 2)) with s = k / T.

    Source: Song et al. 2021 (VP SDE); alpha_bar_k / alpha_bar_{k-1} is alpha_k of Wang et al. 2023 (Diffusion-QL).
    """
    s = k / steps
    exponent = -(BETA_MIN * s + 0.5 * (BETA_MAX - BETA_MIN) * s * s)
    return exponent.exp() if isinstance(exponent, Tensor) else math.exp(exponent)


def diffuse(clean: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Add noise to clean data: sqrt(alpha_bar) clean + sqrt(1 - alpha_bar) noise.

    Args:
        clean: (..., D).
        noise: (..., D), standard normal.
        alpha_bar: (..., 1), in (0, 1].

    Returns:
        x_k, (..., D).
    """
    return alpha_bar.sqrt() * clean + (1 - alpha_bar).sqrt() * noise


def predict_clean(x: Tensor, noise: Tensor, alpha_bar: float) -> Tensor:
    """Invert `diffuse`: the clean data (..., D), given x (..., D), its noise (..., D) and alpha_bar in (0, 1]."""
    return (x - (1 - alpha_bar) ** 0.5 * noise) / alpha_bar**0.5


def posterior_step(x: Tensor, noise: Tensor, scaled_noise: float | Tensor, k: int, steps: int) -> Tensor:
    """DDPM step: mean of x_{k-1} given x_k and the predicted clean data (clipped to [-1, 1]), plus scaled noise.

    Args:
        x: x_k, (..., D).
        noise: predicted noise, (..., D).
        scaled_noise: added noise, (..., D), or 0.
        k: step, in 1..T.
        steps: T, >= 1.

    Returns:
        (..., D).

    Source: Ho et al. 2020, eq. 7; clipping as in DAC of Li & Levine 2026.
    """
    current, previous = vp_alpha_bar(float(k), steps), vp_alpha_bar(float(k - 1), steps)
    alpha, noise_variance = current / previous, 1 - current
    clean = predict_clean(x, noise, current).clamp(-1, 1)
    clean_weight = previous**0.5 * (1 - alpha) / noise_variance
    return clean_weight * clean + alpha**0.5 * (1 - previous) / noise_variance * x + scaled_noise


def clean_step(x: Tensor, noise: Tensor, scaled_noise: float | Tensor, k: int, steps: int) -> Tensor:
    """Predicted clean data plus scaled noise, clipped to [-1, 1]; arguments as in `posterior_step`.

    This is not the mean of x_{k-1}. The reference runs of QSM use it at every step (pinned by a test).
    """
    return (predict_clean(x, noise, vp_alpha_bar(float(k), steps)) + scaled_noise).clamp(-1, 1)


def sample_diffusion(
    noise_prediction: Callable[[Tensor, float], Tensor], x: Tensor, noise: Tensor, steps: int, denoise_step: DenoiseStep
) -> Tensor:
    """Sample by iterative denoising.

    Args:
        noise_prediction: x (..., D), k in 1..T, a Python float -> predicted noise (..., D).
        x: (..., D), standard normal, the initial x_T.
        noise: (>= T - 1, ..., D), standard normal. Row i, times sqrt(beta_k), is added at step k = T - i. No noise is
            added at k = 1.
        steps: T; >= 1.
        denoise_step: `posterior_step` or `clean_step`.

    Returns:
        (..., D), the clean data.

    Source: Ho et al. 2020 (DDPM), algorithm 2.
    """
    for i, k in enumerate(range(steps, 0, -1)):
        beta = 1 - vp_alpha_bar(float(k), steps) / vp_alpha_bar(float(k - 1), steps)
        scaled_noise = beta**0.5 * noise[i] if k > 1 else 0.0
        x = denoise_step(x, noise_prediction(x, float(k)), scaled_noise, k, steps)
    return x
