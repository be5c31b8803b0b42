"""Flow matching with one weight per environment step of a chunk."""

from __future__ import annotations

from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["chunk_matching_loss"]


def chunk_matching_loss(velocity: Tensor, x_0: Tensor, x_1: Tensor, weight: Tensor) -> tuple[Tensor, Metrics]:
    """Compute the mean over rows and dimensions of weight * (v - (x_1 - x_0))^2.

    Args:
        velocity: (P, B, D), v(x_t, t) at the point x_t = (1 - t) x_0 + t x_1, with gradient.
        x_0: (P, B, D), noise.
        x_1: (P, B, D), chunks of actions, time-major.
        weight: (P, B, S). S is the number of steps of the chunk and divides D, or S = 1 for one weight per row. The
            mean still divides by all rows and dimensions.

    Returns:
        The loss (P,), and its metrics.

    Source: Oberai, Park & Levine 2026, flow matching.
    """
    error = (velocity - (x_1 - x_0)).unflatten(-1, (weight.shape[-1], -1))
    loss = (weight.unsqueeze(-1) * error.square()).mean((-3, -2, -1))
    return loss, lambda: {"behavior/loss": loss.detach()}
