"""Temporal-difference learning of an ensemble of critics."""

from __future__ import annotations

import torch
from torch import Tensor

from qam_torch.types import Critic, Metrics

__all__ = ["pessimistic_value", "td_loss", "td_metrics", "td_target"]


def pessimistic_value(q: Tensor, rho: float | Tensor) -> Tensor:
    """Compute the mean over critics minus rho standard deviations. rho = 0 gives the mean.

    Args:
        q: (..., K, B), critic values.
        rho: float >= 0, or (P, 1).

    Returns:
        Value (..., B). The variance divides by K, not K - 1.

    Source: Li & Levine 2026.
    """
    std, mean = torch.std_mean(q, dim=-2, correction=0)
    return mean - rho * std if isinstance(rho, Tensor) else torch.add(mean, std, alpha=-rho)


def td_target(rewards: Tensor, masks: Tensor, next_value: Tensor, chunk_discount: float | Tensor) -> Tensor:
    """Compute the TD target y = R + gamma^h m V(s', a').

    Args:
        rewards: (..., B), R, the discounted sum of the chunk's rewards.
        masks: (..., B), m in {0, 1}; 0 stops bootstrapping.
        next_value: (..., B), V(s', a').
        chunk_discount: gamma^h in [0, 1], a number or (P, 1).

    Returns:
        Target (..., B), an h-step backup.

    Source: Li & Levine 2026, critic target.
    """
    if isinstance(chunk_discount, Tensor):
        return torch.addcmul(rewards, masks * chunk_discount, next_value)
    return torch.addcmul(rewards, masks, next_value, value=chunk_discount)


def td_loss(
    critic: Critic, observations: Tensor, actions: Tensor, target: Tensor, valid: Tensor
) -> tuple[Tensor, Metrics]:
    """Compute the mean over critics and rows of valid * (Q(s, a) - y)^2.

    Args:
        critic: online ensemble, (P, B, O), (P, B, D) -> (P, K, B).
        observations: (P, B, O).
        actions: (P, B, D).
        target: (P, B), y, detached.
        valid: (P, B), 0 drops the row. The mean still divides by all rows.

    Returns:
        Loss (P,), metrics.

    Source: Li & Levine 2026, critic loss.
    """
    q = critic(observations, actions)
    loss = (valid.unsqueeze(-2) * (q - target.unsqueeze(-2)).square()).mean((-2, -1))

    return loss, lambda: td_metrics(loss, q, target)


def td_metrics(loss: Tensor, q: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Compute the metrics of an ensemble of critics.

    Args:
        loss: (P,), TD loss.
        q: (P, K, B), critic values.
        target: (P, B), TD targets.

    Returns:
        Name of the metric -> value (P,).

    Source: Li & Levine 2026, critic loss.
    """
    values = q.detach().flatten(-2)
    return {
        "critic/loss": loss.detach(),
        "critic/q_mean": values.mean(-1),
        "critic/q_max": values.amax(-1),
        "critic/q_min": values.amin(-1),
        "critic/target_mean": target.mean(-1),
        "critic/target_max": target.amax(-1),
        "critic/target_min": target.amin(-1),
    }
