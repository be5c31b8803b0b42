"""Expectile regression: learn a V(s) near the value of the best data action, without sampling actions."""

from __future__ import annotations

from torch import Tensor

from qam_torch.types import Metrics

__all__ = ["expectile_error", "expectile_loss"]


def expectile_error(error: Tensor, kappa: float | Tensor) -> Tensor:
    """Compute the squared error, weighted by kappa if the error is positive and by 1 - kappa if it is negative.

    Args:
        error: (...), data minus prediction.
        kappa: the expectile in (0, 1), a number or a tensor broadcastable to `error`.

    Returns:
        |kappa - 1(error < 0)| error^2, shaped like `error`.

    Source: Kostrikov et al. 2022 (IQL), eq. 5.
    """
    weight = (kappa - (error < 0).to(error.dtype)).abs()
    return weight * error.square()


def expectile_loss(value: Tensor, q: Tensor, kappa: float | Tensor) -> tuple[Tensor, Metrics]:
    """Compute the mean over rows of |kappa - 1(q < V)| (q - V)^2.

    Its minimizer V(s) is the kappa-expectile of the values of the data's actions in s.

    Args:
        value: (P, B), V(s), with gradient.
        q: (P, B), values of the data's actions, detached. Rows whose window crosses an episode's end are included.
        kappa: float or (P, 1) in (0, 1). 1/2 gives half the squared error. Near 1, V approaches the maximum.

    Returns:
        Loss (P,), metrics.

    Source: Kostrikov et al. 2022 (IQL), eq. 5; Li & Levine 2026 for IFQL.
    """
    loss = expectile_error(q - value, kappa).mean(-1)

    def metrics() -> dict[str, Tensor]:
        v = value.detach()
        return {
            "value/loss": loss.detach(),
            "value/v_mean": v.mean(-1),
            "value/v_max": v.amax(-1),
            "value/v_min": v.amin(-1),
        }

    return loss, metrics
