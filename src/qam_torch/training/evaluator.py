"""Evaluation of all members during training, in environments that are made once and kept."""

from __future__ import annotations

from collections.abc import Callable

from qam_torch.algorithms import Algorithm
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.inference.episodes import evaluate_members
from qam_torch.rollout.evaluation import Evaluation

__all__ = ["Evaluator"]


class Evaluator:
    """Evaluates all members of an algorithm side by side.

    Args:
        make_pool: makes the environments when they are first needed.
        episodes: per member, >= 1.
        action_dim: A.

    Attributes:
        reports_success: whether an evaluation has reported success. All later ones then do: many environments report
            success only when an episode succeeds.
    """

    def __init__(self, make_pool: Callable[[], EnvironmentPool], episodes: int, action_dim: int) -> None:
        self.make_pool, self.episodes, self.action_dim = make_pool, episodes, action_dim
        self.pool: EnvironmentPool | None = None
        self.reports_success = False

    def __call__(
        self, algorithm: Algorithm, step: int, policy: str = "policy", record_positions: bool = False
    ) -> Evaluation:
        """Evaluate after `step` steps.

        Noise and episodes are functions of (seeds, step) alone, so that a resumed run repeats the same evaluation.
        """
        if self.pool is None:
            self.pool = self.make_pool()
        stream = f"evaluation/{policy}/{step}"
        evaluation = evaluate_members(
            algorithm, self.pool, self.episodes, self.action_dim, step, stream, policy, record_positions
        )
        self.reports_success |= evaluation.success is not None
        return evaluation.with_success() if self.reports_success else evaluation

    def close(self) -> None:
        """End the processes of the environments."""
        if self.pool is not None:
            self.pool.close()
            self.pool = None
