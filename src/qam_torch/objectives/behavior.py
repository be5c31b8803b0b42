"""Loss of behavior cloning with a flow: flow matching on the data's action chunks."""

from __future__ import annotations

from torch import Tensor

from qam_torch.flows import flow_matching_loss
from qam_torch.types import Metrics, Velocity

__all__ = ["behavior_loss"]


def behavior_loss(
    velocity: Velocity, actions: Tensor, x_0: Tensor, t: Tensor, weight: Tensor
) -> tuple[Tensor, Metrics]:
    """Compute the flow matching loss on the data: of f_beta, or of f_theta if the method has only that flow.

    Args:
        velocity: (x, t) -> f(s, x, t) for the batch's observations s, with gradient.
        actions: (P, B, D), the data's actions, in [-1, 1].
        x_0: (P, B, D), standard normal noise.
        t: (P, B, 1), flow time, uniform on [0, 1).
        weight: (P, B), row weights: `valid` or a multiple of it. The mean still divides by all rows.

    Returns:
        Loss (P,), metrics.

    Source: Li & Levine 2026, behavior flow loss; FAWAC uses the weights.
    """
    loss = flow_matching_loss(velocity, x_0, actions, t, weight)
    return loss, lambda: {"behavior/loss": loss.detach()}
