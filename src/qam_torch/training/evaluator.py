"""Evaluate all members during training, in environments that are made once before training."""

from __future__ import annotations

from qam_torch.algorithms import Algorithm
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.inference.episodes import evaluate_members
from qam_torch.rollout.evaluation import Evaluation

__all__ = ["Evaluator"]


class Evaluator:
    """Evaluates all members of an algorithm at the same time.

    Args:
        pool: the environments.
        episodes: number of episodes per member, >= 1.
        action_dim: A.
        execute_steps: number of actions of a chunk that are executed before the next chunk is selected, in 1..h; None
            for all.

    Attributes:
        reports_success: whether an evaluation has reported success. All later evaluations then report it, too. This is
            needed because many environments report success only when an episode succeeds.
    """

    def __init__(self, pool: EnvironmentPool, episodes: int, action_dim: int, execute_steps: int | None = None) -> None:
        self.pool, self.episodes, self.action_dim, self.execute_steps = pool, episodes, action_dim, execute_steps
        self.reports_success = False

    def __call__(
        self, algorithm: Algorithm, step: int, policy: str = "policy", record_positions: bool = False
    ) -> Evaluation:
        """Evaluate after `step` steps.

        Initial states and noise depend only on the members' seeds, the step and the policy. A resumed run therefore
        repeats the same evaluation.

        Args:
            algorithm: the algorithm to evaluate.
            step: steps made so far.
            policy: "policy" or "behavior_policy", see `inference.episodes.evaluate_members`.
            record_positions: whether to record the first member's trajectories, in mazes only.
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
