"""Fine-tune a flow by backpropagation through its memoryless SDE, which adjoint matching avoids."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from qam_torch.flows import node_sigmas, sample_memoryless, stochastic_control_loss
from qam_torch.scopes import scope
from qam_torch.types import Metrics, Velocity

__all__ = ["path_control_loss"]


def path_control_loss(
    f_theta: Velocity,
    f_beta: Velocity,
    value: Callable[[Tensor], Tensor],
    x_0: Tensor,
    noise: Tensor,
    flow_steps: int,
    inv_temp: float | Tensor,
    residual: bool = False,
) -> tuple[Tensor, Metrics]:
    """Compute the mean over rows of -inv_temp value(X_1) + sum_i 2 / sigma_i^2 ||u_i||^2.

    Here u_i = f_theta - f_beta at X_i, and the sum is over the stochastic steps i < T - 1. The last step is an ODE step
    with f_beta and has no control cost. As in the reference, the energy is not multiplied by dt.

    Args:
        f_theta: fine-tuned flow with the observations bound, with gradient.
        f_beta: base flow with the observations bound, parameters detached, differentiable in x.
        value: actions (P, B, D) -> values (P, B). The argument is X_1, not clipped to [-1, 1].
        x_0: (P, B, D), standard normal.
        noise: (>= T - 1, P, B, D), standard normal.
        flow_steps: T; >= 2.
        inv_temp: float or (P, 1), >= 0.
        residual: whether `f_theta` returns the correction u; the fine-tuned velocity is then f_beta + u.

    Returns:
        Loss (P,), metrics.

    Source: Li & Levine 2026, BAM; Domingo-Enrich et al. 2025 for the control problem.
    """
    controls: list[Tensor] = []

    def sampled(x: Tensor, t: float | Tensor) -> Tensor:
        own, base = f_theta(x, t), f_beta(x, t)
        controls.append(own if residual else own - base)
        return own + base if residual else own

    with scope("memoryless SDE"):
        path = sample_memoryless(sampled, f_beta, x_0, noise, flow_steps, differentiable=True)
    correction = torch.stack(controls)
    cost = -inv_temp * value(path.x_1)
    loss = stochastic_control_loss(correction, cost, node_sigmas(flow_steps, correction)[:-1], dt=1.0)

    def metrics() -> dict[str, Tensor]:
        costs = cost.detach().mean(-1)
        return {"control/loss": loss.detach(), "control/cost": costs, "control/energy": loss.detach() - costs}

    return loss, metrics
