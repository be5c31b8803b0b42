"""Loss that maximizes the critics' value after one step of a flow."""

from __future__ import annotations

from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["flow_step_value_loss"]


def flow_step_value_loss(q: Tensor, valid: Tensor) -> tuple[Tensor, Metrics]:
    """Compute minus the mean over rows of valid * mean_k Q.

    Args:
        q: (P, K, B), values of the points after one step of the flow, with gradient with respect to these points.
        valid: (P, B), 0 drops the row. The mean still divides by all rows.

    Returns:
        The loss (P,), and its metrics. The metrics q_mean, q_max and q_min include rows with valid = 0.

    Source: Oberai, Park & Levine 2026, value maximization by one step.
    """
    value = q.mean(-2)
    loss = -(valid * value).mean(-1)

    def metrics() -> dict[str, Tensor]:
        values = value.detach()
        return {
            "policy/q_loss": loss.detach(),
            "policy/q_mean": values.mean(-1),
            "policy/q_max": values.amax(-1),
            "policy/q_min": values.amin(-1),
        }

    return loss, metrics
