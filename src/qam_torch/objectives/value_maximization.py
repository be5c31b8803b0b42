"""Losses that train a policy to maximize the critics' value."""

from __future__ import annotations

from torch import Tensor

from qam_torch.objectives.td import pessimistic_value
from qam_torch.types import Critic, Metrics

__all__ = ["normalized_value_maximization", "value_maximization"]


def value_maximization(
    critic: Critic, observations: Tensor, actions: Tensor, name: str, rho: float | Tensor = 0.0
) -> tuple[Tensor, Metrics]:
    """Compute minus the mean over rows of (mean_k - rho std_k) Q(s, a), differentiable in the actions.

    Args:
        critic: the online ensemble; this loss does not train it.
        observations: (P, B, O).
        actions: (P, B, D), from the policy, in [-1, 1], with gradient.
        name: prefix of the metric.
        rho: float or (P, 1), >= 0, number of standard deviations to subtract.

    Returns:
        Loss (P,), metrics.

    Source: Li & Levine 2026, policy losses of QAM-F and QAM-E; Lillicrap et al. 2016 (deterministic policy gradient).
    """
    q = critic(observations, actions)
    pessimistic = isinstance(rho, Tensor) or rho > 0
    loss = -pessimistic_value(q, rho).mean(-1) if pessimistic else -q.mean((-2, -1))
    return loss, lambda: {f"{name}/q_loss": loss.detach()}


def normalized_value_maximization(
    critic: Critic, observations: Tensor, actions: Tensor, name: str, rho: float | Tensor = 0.0
) -> tuple[Tensor, Metrics]:
    """Compute the loss of `value_maximization` divided by the detached mean |(mean_k - rho std_k) Q|.

    The quotient is independent of the reward scale. The arguments are those of `value_maximization`.

    Returns:
        Loss (P,), metrics.

    Source: Fujimoto & Gu 2021 (TD3+BC); Tarasov et al. 2023 (ReBRAC); Li & Levine 2026 for rho.
    """
    value = pessimistic_value(critic(observations, actions), rho)
    loss = -value.mean(-1) / value.detach().abs().mean(-1)
    return loss, lambda: {f"{name}/q_loss": loss.detach()}
