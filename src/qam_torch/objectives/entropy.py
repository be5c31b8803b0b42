"""Entropy regularization with a learned temperature."""

from __future__ import annotations

from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["entropy_loss", "temperature_loss"]


def entropy_loss(temperature: Tensor, log_prob: Tensor, name: str) -> tuple[Tensor, Metrics]:
    """Compute the mean over rows of temperature * log pi. This loss trains only the policy.

    Args:
        temperature: (P,), detached here.
        log_prob: (P, B), with gradient.
        name: prefix of the metrics.

    Returns:
        Loss (P,), metrics.

    Source: Haarnoja et al. 2018 (SAC).
    """
    loss = temperature.detach() * log_prob.mean(-1)
    return loss, lambda: {f"{name}/entropy_loss": loss.detach(), f"{name}/entropy": -log_prob.detach().mean(-1)}


def temperature_loss(
    temperature: Tensor, log_prob: Tensor, target_entropy: float | Tensor, name: str
) -> tuple[Tensor, Metrics]:
    """Compute temperature * (H - target entropy) with H = -mean log pi. This loss trains only the temperature.

    Args:
        temperature: (P,), with gradient.
        log_prob: (P, B), detached here.
        target_entropy: float or (P,), usually a negative multiple of the action dimension.
        name: prefix of the metrics.

    Returns:
        Loss (P,), metrics.

    Source: Haarnoja et al. 2018 (SAC with automatic temperature).
    """
    loss = temperature * (-log_prob.detach().mean(-1) - target_entropy)
    return loss, lambda: {f"{name}/alpha_loss": loss.detach(), f"{name}/alpha": temperature.detach()}
