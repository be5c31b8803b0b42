"""Distill a multi-step flow into a one-step policy."""

from __future__ import annotations

from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["distillation_loss"]


def distillation_loss(actions: Tensor, flow_actions: Tensor, name: str) -> tuple[Tensor, Metrics]:
    """Compute the mean over rows and dimensions of (mu(s, z) - flow(s, z))^2 for the same noise z.

    Args:
        actions: (P, B, D), actions of the one-step policy, not clipped, with gradient.
        flow_actions: (P, B, D), actions of the flow, detached.
        name: prefix of the metric.

    Returns:
        Loss (P,), metrics.

    Source: Park et al. 2025 (flow Q-learning), distillation loss; Li & Levine 2026 for QAM-F.
    """
    loss = (flow_actions - actions).square().mean((-2, -1))
    return loss, lambda: {f"{name}/distillation_loss": loss.detach()}
