"""Learn a state value V(s) from action values of the data's actions."""

from __future__ import annotations

from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["expectile_loss", "value_regression"]


def value_regression(value: Tensor, q: Tensor, valid: Tensor) -> tuple[Tensor, Metrics]:
    """Mean over critics and rows of valid (V(s) - Q(s, a))^2: V becomes the mean value of the data's actions.

    value  (P, B)     V(s), with gradient
    q      (P, K, B)  of the data's actions, constants
    valid  (P, B)     0 drops the row; the mean still divides by all rows
    ->     (P,), metrics

    Source: Li & Levine 2026, value loss of FAWAC.
    """
    loss = (valid.unsqueeze(-2) * (value.unsqueeze(-2) - q).square()).mean((-2, -1))
    return loss, lambda: _metrics(loss, value)


def expectile_loss(value: Tensor, q: Tensor, kappa: float | Tensor) -> tuple[Tensor, Metrics]:
    """Mean over rows of |kappa - 1(q < V)| (q - V)^2: V becomes the kappa-expectile of the data's actions' values.

    value  (P, B)                      V(s), with gradient
    q      (P, B)                      of the data's actions, constants; rows over an episode's end count, too
    kappa  float or (P, 1) in (0, 1)   1/2 is half the mean square; towards 1, V nears the best action's value
    ->     (P,), metrics

    Source: Kostrikov et al. 2022 (IQL), eq. 5; Li & Levine 2026 for IFQL.
    """
    error = q - value
    weight = (kappa - (error < 0).to(error.dtype)).abs()
    loss = (weight * error.square()).mean(-1)
    return loss, lambda: _metrics(loss, value)


def _metrics(loss: Tensor, value: Tensor) -> dict[str, Tensor]:
    value = value.detach()
    return {
        "value/loss": loss.detach(),
        "value/v_mean": value.mean(-1),
        "value/v_max": value.amax(-1),
        "value/v_min": value.amin(-1),
    }
