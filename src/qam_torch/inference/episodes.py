"""Episodes of all members of an algorithm, as many at a time as there are environments."""

from __future__ import annotations

from itertools import pairwise

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.acting import PopulationActor
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.rollout.evaluation import Evaluation, evaluate

__all__ = ["evaluate_members"]


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
    """Run E episodes of each of P members, P x e of them side by side, where e is what fits into the pool.

    The start and the noise of an episode are functions of its member's seed, its index, `seed` and `stream`. The
    outcome therefore does not depend on the number of environments.

    Args:
        algorithm: whose members act.
        pool: at least P environments with a time limit.
        episodes: E, per member, >= 1.
        action_dim: A.
        seed: of the episodes, >= 0.
        stream: name of the random stream of the acting noise.
        policy: "policy" (what the method acts with) or "behavior_policy" (f_beta alone).
        record_positions: keep the first member's paths (mazes only).
    """
    members = algorithm.members
    blocks = -(-episodes // min(episodes, pool.count // members))
    bounds = [episodes * block // blocks for block in range(blocks + 1)]
    parts = []
    for first, last in pairwise(bounds):
        act = PopulationActor(algorithm, policy, stream, block=(first, last, episodes))
        sizes = (members, last - first, algorithm.horizon_length, action_dim)
        parts.append(evaluate(act, pool, *sizes, seed, record_positions=record_positions, first=first))
    return Evaluation.joined(parts)
