"""Evaluation of all members during training, in environments that are made before it and kept."""

from __future__ import annotations

from qam_torch.algorithms import Algorithm
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.inference.episodes import evaluate_members
from qam_torch.rollout.evaluation import Evaluation

__all__ = ["Evaluator"]


class Evaluator:
    """Evaluates all members of an algorithm side by side.

    Args:
        pool: the environments.
        episodes: per member, >= 1.
        action_dim: A.
        execute_steps: actions of a chunk that are executed before acting again, in 1..h; None: all.

    Attributes:
        reports_success: whether an evaluation has reported success. All later ones then do: many environments report
            success only when an episode succeeds.
    """

    def __init__(self, pool: EnvironmentPool, episodes: int, action_dim: int, execute_steps: int | None = None) -> None:
        self.pool, self.episodes, self.action_dim, self.execute_steps = pool, episodes, action_dim, execute_steps
        self.reports_success = False

    def __call__(
        self, algorithm: Algorithm, step: int, policy: str = "policy", record_positions: bool = False
    ) -> Evaluation:
        """Evaluate after `step` steps.

        Noise and episodes are functions of (seeds, step) alone, so that a resumed run repeats the same evaluation.
        """
        stream = f"evaluation/{policy}/{step}"
        evaluation = evaluate_members(
            algorithm,
            self.pool,
            self.episodes,
            self.action_dim,
            step,
            stream,
            policy,
            record_positions,
            self.execute_steps,
        )
        self.reports_success |= evaluation.success is not None
        return evaluation.with_success() if self.reports_success else evaluation
