"""Losses of a noise predictor: imitation of the data, and improvement by the critic's gradient."""

from __future__ import annotations

from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["denoising_loss", "score_ascent_loss", "score_matching_loss"]


def denoising_loss(predicted: Tensor, noise: Tensor, valid: Tensor, name: str) -> tuple[Tensor, Metrics]:
    """Mean over rows of valid * mean over dimensions of (predicted noise - noise)^2.

    Args:
        predicted: (P, B, D), prediction of the noise in a noisy data action, with gradient.
        noise: (P, B, D), the noise that was added.
        valid: (P, B), 0 drops the row; the mean still divides by all rows.
        name: prefix of the metric.

    Returns:
        Loss (P,), metrics.

    Source: Ho et al. 2020, simplified objective.
    """
    loss = (valid * (predicted - noise).square().mean(-1)).mean(-1)
    return loss, lambda: {f"{name}/denoising_loss": loss.detach()}


def score_matching_loss(
    predicted: Tensor, gradient: Tensor, inv_temp: float | Tensor, valid: Tensor, name: str
) -> tuple[Tensor, Metrics]:
    """Mean over rows of the mean over dimensions of (- inv_temp dQ/dx - predicted noise)^2. An invalid row counts as 1.

    Args:
        predicted: (P, B, D), predicted noise, with gradient.
        gradient: (P, B, D), dQ/dx at the noisy action, detached.
        inv_temp: float or (P, 1, 1), > 0.
        valid: (P, B); where it is 0, the row's loss is replaced by 1.
        name: prefix of the metric.

    Returns:
        Loss (P,), metrics.

    Source: Psenka et al. 2024 (Q-score matching); Li & Levine 2026, QSM.
    """
    loss = _mean_of_rows((predicted + inv_temp * gradient).square().mean(-1), valid)
    return loss, lambda: {f"{name}/score_loss": loss.detach()}


def score_ascent_loss(
    predicted: Tensor, gradient: Tensor, noise_level: Tensor, valid: Tensor, name: str
) -> tuple[Tensor, Metrics]:
    """Mean over rows of the mean over dimensions of noise_level dQ/dx * predicted noise. An invalid row counts as 1.

    Args:
        predicted: (P, B, D), predicted noise, with gradient.
        gradient: (P, B, D), dQ/dx at the noisy action, detached.
        noise_level: (P, B, 1), sqrt(1 - alpha_bar).
        valid: (P, B); where it is 0, the row's loss is replaced by 1.
        name: prefix of the metric.

    Returns:
        Loss (P,), metrics.

    Source: Fang et al. 2024 (diffusion actor-critic); Li & Levine 2026, DAC.
    """
    loss = _mean_of_rows((noise_level * gradient * predicted).mean(-1), valid)
    return loss, lambda: {f"{name}/score_loss": loss.detach()}


def _mean_of_rows(loss: Tensor, valid: Tensor) -> Tensor:
    """Mean over rows. As in the reference runs, an invalid row counts as the constant 1, without a gradient."""
    return (valid * loss + (1 - valid)).mean(-1)
