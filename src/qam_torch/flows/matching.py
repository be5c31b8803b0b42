"""Adjoint matching: the regression that fine-tunes a flow, and the control problem that it solves."""

from __future__ import annotations

import torch
from torch import Tensor

from qam_torch.flows.memoryless import memoryless_sigma

__all__ = ["adjoint_matching_loss", "node_sigmas", "stochastic_control_loss"]


def node_sigmas(flow_steps: int, like: Tensor) -> Tensor:
    """Compute sigma_t (T, 1, ..., 1) at the T nodes 0, dt, ..., 1 - dt, broadcastable to `like` (T, ..., D)."""
    t = torch.arange(flow_steps, dtype=like.dtype, device=like.device) / flow_steps
    return memoryless_sigma(t, 1.0 / flow_steps).view(-1, *(1,) * (like.ndim - 1))


def adjoint_matching_loss(correction: Tensor, adjoints: Tensor, sigma: Tensor) -> Tensor:
    """Compute the adjoint matching loss: sum over nodes of || 2 u_i / sigma_i + sigma_i g_i ||^2, averaged over rows.

    The minimizer is u = f_theta - f_beta = -sigma^2 g / 2. This control tilts the base distribution by exp(inv_temp Q).
    No gradient passes through the path or the adjoint.

    Args:
        correction: (T, ..., B, D), u_i = f_theta - f_beta at the nodes, with gradient.
        adjoints: (T, ..., B, D), lean adjoints g_i, without gradient.
        sigma: (T, 1, .., 1), memoryless noise levels from `node_sigmas`.

    Returns:
        Loss (...).

    Source: Domingo-Enrich et al. 2025, adjoint matching. Its use with a critic: Li & Levine 2026.
    """
    residual = torch.addcmul(sigma * adjoints, correction, 2 / sigma)
    return residual.square().sum(-1).sum(0).mean(-1)


def stochastic_control_loss(correction: Tensor, cost: Tensor, sigma: Tensor, dt: float) -> Tensor:
    """Compute the loss of the control problem that adjoint matching replaces: path energy plus terminal cost.

    Args:
        correction: (T, ..., B, D), u_i at the nodes.
        cost: (..., B), terminal cost, -inv_temp Q(X_1).
        sigma: (T, 1, .., 1), memoryless noise levels.
        dt: solver step, > 0.

    Returns:
        Loss (...), the mean over rows of sum_i dt || 2 u_i / sigma_i ||^2 / 2 + cost.

    Source: Domingo-Enrich et al. 2025, stochastic optimal control for fine-tuning flows.
    """
    energy = 0.5 * dt * (2 * correction / sigma).square().sum(-1).sum(0)
    return (energy + cost).mean(-1)
