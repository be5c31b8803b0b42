"""Best-of-N: draw N candidate actions and keep the one with the highest Q."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from qam_torch.types import Critic, Draw, Noise, Policy, QamError, differentiates

__all__ = ["BestOfN", "min_over_critics", "mean_over_critics"]


def mean_over_critics(q: Tensor) -> Tensor:
    """Return the mean over critics: (P, K, B) -> (P, B)."""
    return q.mean(-2)


def min_over_critics(q: Tensor) -> Tensor:
    """Return the minimum over critics: (P, K, B) -> (P, B)."""
    return q.amin(-2)


class BestOfN:
    """Draws N independent candidate actions per state, and returns the one with the highest score, e.g. mean_k Q(s, a).

    Args:
        policy: policy that proposes the candidates.
        critic: ensemble of critics, (P, B, O), (P, B, D) -> (P, K, B).
        best_of_n: N, int >= 1.
        score: function (P, K, B) -> (P, B) that computes each candidate's score from the critics' values.

    Source: Li & Levine 2026, best-of-N action selection with the online critic.
    """

    def __init__(
        self, policy: Policy, critic: Critic, best_of_n: int, score: Callable[[Tensor], Tensor] = mean_over_critics
    ) -> None:
        if best_of_n < 1:
            raise QamError(f"best_of_n={best_of_n} is out of range: expected >= 1")
        self.policy, self.critic, self.best_of_n, self.score = policy, critic, best_of_n, score
        self.differentiates = differentiates(policy)

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Describe the noise of `policy` for B * N rows. The N candidates of a state are adjacent rows."""
        return self.policy.draws(batch_size * self.best_of_n)

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return the best candidate per state: observations (P, B, O) -> actions (P, B, D)."""
        if self.best_of_n == 1:
            return self.policy(observations, noise)
        members, batch, _ = observations.shape
        repeated = observations.repeat_interleave(self.best_of_n, dim=1)
        candidates = self.policy(repeated, noise)
        value = self.score(self.critic(repeated, candidates)).view(members, batch, self.best_of_n)
        best = value.argmax(-1)[..., None, None].expand(-1, -1, 1, candidates.shape[-1])
        return candidates.view(members, batch, self.best_of_n, -1).gather(2, best).squeeze(2)
