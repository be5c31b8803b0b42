"""Evaluation during a run."""

from __future__ import annotations

from collections.abc import Callable

from qam_torch.algorithms import Algorithm
from qam_torch.experiment.acting import PopulationActor
from qam_torch.rollout.evaluation import Evaluation, evaluate
from qam_torch.rollout.pool import EnvironmentPool

__all__ = ["Evaluator"]


class Evaluator:
    """Evaluates all members of an algorithm side by side, in environments that are made once and kept.

    make_pool   makes the environments when they are first needed
    episodes    per member
    action_dim  A
    """

    def __init__(self, make_pool: Callable[[], EnvironmentPool], episodes: int, action_dim: int) -> None:
        self.make_pool, self.episodes, self.action_dim = make_pool, episodes, action_dim
        self.pool: EnvironmentPool | None = None

    def __call__(
        self, algorithm: Algorithm, step: int, policy: str = "policy", record_positions: bool = False
    ) -> Evaluation:
        """Noise and episodes are functions of (seeds, step) alone, so a continued run evaluates alike."""
        if self.pool is None:
            self.pool = self.make_pool()
        return evaluate(
            PopulationActor(algorithm, policy, f"evaluation/{policy}/{step}"),
            self.pool,
            algorithm.members,
            self.episodes,
            algorithm.horizon_length,
            self.action_dim,
            seed=step,
            record_positions=record_positions,
        )

    def close(self) -> None:
        """End the environments' processes."""
        if self.pool is not None:
            self.pool.close()
            self.pool = None
