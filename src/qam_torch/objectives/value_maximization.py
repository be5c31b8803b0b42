"""Move a policy's actions up the critic."""

from __future__ import annotations

from torch import Tensor

from qam_torch.types import Critic, Metrics

__all__ = ["value_maximization"]


def value_maximization(critic: Critic, observations: Tensor, actions: Tensor, name: str) -> tuple[Tensor, Metrics]:
    """Minus the mean over rows of mean_k Q(s, a), differentiable in the actions.

    critic        the online ensemble; its parameters are no target of this loss
    observations  (P, B, O)
    actions       (P, B, D)  from the policy, in [-1, 1], with gradient
    name          prefix of the metric
    ->            (P,), metrics

    Source: Li & Levine 2026, policy losses of QAM-F and QAM-E; Lillicrap et al. 2016 (deterministic policy gradient).
    """
    loss = -critic(observations, actions).mean((-2, -1))
    return loss, lambda: {f"{name}/q_loss": loss.detach()}
