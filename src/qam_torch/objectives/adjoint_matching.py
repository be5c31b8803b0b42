"""Q-learning with adjoint matching: fine-tune f_theta from f_beta with the critic's action gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from qam_torch.flows import terminal_adjoint
from qam_torch.flows.discretization import PAPER, Discretization
from qam_torch.scopes import scope
from qam_torch.types import Metrics, Velocity

__all__ = ["AdjointTargets", "adjoint_matching", "matching_targets"]


class AdjointTargets(NamedTuple):
    """Inputs of the adjoint matching regression at the T nodes 0, 1/T, ..., 1 - 1/T.

    Attributes:
        xs: (T, P, B, D), states of the memoryless process, detached.
        correction: (T, P, B, D), f_theta - f_beta at the nodes (f_theta alone if `residual`), with gradient.
        lean_adjoints: (T, P, B, D), adjoint in the loss of each node, detached.
        terminal: (P, B, D), adjoint at t = 1.
    """

    xs: Tensor
    correction: Tensor
    lean_adjoints: Tensor
    terminal: Tensor


def matching_targets(
    f_theta: Velocity,
    f_beta: Velocity,
    value: Callable[[Tensor], Tensor],
    x_0: Tensor,
    noise: Tensor,
    flow_steps: int,
    inv_temp: float | Tensor,
    residual: bool = False,
    clip_adj: bool = True,
    batched_nodes: bool = False,
    discretization: Discretization = PAPER,
) -> AdjointTargets:
    """Sample the memoryless process, solve the lean adjoint along it, and evaluate both flows at its nodes.

    By default, no forward pass is made twice. The values of f_theta at X_0 .. X_{T-2}, computed to sample the path, are
    kept with their graph for the loss. The value of f_beta at X_{T-1} is also kept.

    Args:
        f_theta: fine-tuned flow with the observations bound, gradient enabled.
        f_beta: base flow with the observations bound, detached.
        value: actions (P, B, D) -> (P, B), the value that tilts the policy: mean_k Q(s, .).
        x_0: (P, B, D), standard normal.
        noise: (>= T - 1, P, B, D), standard normal.
        flow_steps: T, >= 1.
        inv_temp: float or (P, 1, 1), >= 0.
        residual: whether f_theta is a correction that is added to f_beta.
        clip_adj: whether to evaluate the value at clip(X_1, -1, 1), so that its gradient is zero outside [-1, 1].
        batched_nodes: whether to sample the path without gradient, and then evaluate f_theta at all its nodes in one
            call. This needs an additional forward pass, but only a tenth of the backward operations. It is faster on a
            GPU.
        discretization: steps, adjoint and loss. The default is the paper's.

    Returns:
        The inputs of the regression at every node.

    Source: Li & Levine 2026, the targets of Q-learning with adjoint matching.
    """
    kept: list[Tensor] = []

    def sampled(x: Tensor, t: float | Tensor) -> Tensor:
        kept.append(f_theta(x, t))
        return kept[-1] + f_beta(x, t) if residual else kept[-1]

    with scope("memoryless SDE"), torch.set_grad_enabled(torch.is_grad_enabled() and not batched_nodes):
        path = discretization.sample(sampled, f_beta, x_0, noise, flow_steps)
    times = (torch.arange(flow_steps, device=x_0.device, dtype=x_0.dtype) / flow_steps).view(-1, 1, 1, 1)
    if not batched_nodes:
        kept.append(f_theta(path.xs[-1], 1 - 1 / flow_steps))
    correction = f_theta(path.xs, times) if batched_nodes else torch.stack(kept)
    with torch.no_grad():
        with scope("lean adjoint"):
            terminal = terminal_adjoint((lambda x: value(x.clamp(-1, 1))) if clip_adj else value, path.x_1, inv_temp)
            adjoints = discretization.adjoints(f_beta, path.xs, terminal)
        if not residual:
            base = [path.base_velocity.unsqueeze(0)]
            if flow_steps > 1:
                base.insert(0, f_beta(path.xs[:-1], times[:-1]))
            base_velocities = torch.cat(base)
    return AdjointTargets(path.xs, correction if residual else correction - base_velocities, adjoints, terminal)


def adjoint_matching(targets: AdjointTargets, discretization: Discretization = PAPER) -> tuple[Tensor, Metrics]:
    """Regress f_theta's correction onto the lean adjoints: mean over rows of sum_i || 2 u_i/sigma_i + sigma_i g_i ||^2.

    Args:
        targets: inputs of the regression from `matching_targets`.
        discretization: the discretization of the targets. The default is the paper's, which has the loss above.

    Returns:
        Loss (P,) and metrics.

    Source: Li & Levine 2026, adjoint matching loss.
    """
    loss = discretization.loss(targets.correction, targets.lean_adjoints)

    def metrics() -> dict[str, Tensor]:
        size = targets.terminal.abs().flatten(1)
        return {
            "adjoint/loss": loss.detach(),
            "adjoint/terminal_mean": size.mean(-1),
            "adjoint/terminal_std": size.std(-1, correction=0),
            "adjoint/terminal_max": size.amax(-1),
        }

    return loss, metrics
