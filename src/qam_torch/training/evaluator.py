"""Episodes of all members of an algorithm, as many at a time as there are environments."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from qam_torch.algorithms import Algorithm
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.inference.policy import PopulationActor
from qam_torch.rollout.evaluation import Evaluation, evaluate

__all__ = ["Evaluator", "environments_for", "evaluate_members"]


def environments_for(members: int, episodes: int, most: int) -> int:
    """Environments to make for E episodes of each of P members: at most `most`, but one for each member in any case."""
    return members * max(1, min(episodes, most // members))


def evaluate_members(
    algorithm: Algorithm,
    pool: EnvironmentPool,
    episodes: int,
    action_dim: int,
    seed: int,
    stream: str,
    policy: str = "policy",
    record_positions: bool = False,
) -> Evaluation:
    """Run E episodes of each member, P * e of them side by side, e as many as fit the pool.

    An episode's start and noise are functions of its member's seed, its number, `seed` and `stream`: what comes out
    does not depend on how many environments there are.
    """
    members = algorithm.members
    turns = -(-episodes // min(episodes, pool.count // members))
    bounds = [episodes * turn // turns for turn in range(turns + 1)]
    parts = []
    for first, last in pairwise(bounds):
        act = PopulationActor(algorithm, policy, stream, block=(first, last, episodes))
        sizes = (members, last - first, algorithm.horizon_length, action_dim)
        parts.append(evaluate(act, pool, *sizes, seed, record_positions=record_positions, first=first))
    return Evaluation.joined(parts)


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
        stream = f"evaluation/{policy}/{step}"
        return evaluate_members(
            algorithm, self.pool, self.episodes, self.action_dim, step, stream, policy, record_positions
        )

    def close(self) -> None:
        """End the environments' processes."""
        if self.pool is not None:
            self.pool.close()
            self.pool = None
