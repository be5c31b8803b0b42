"""Run evaluation episodes of all members of an algorithm."""

from __future__ import annotations

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.acting import PopulationActor
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.inference.threads import computing_threads
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
    execute_steps: int | None = None,
) -> Evaluation:
    """Run E episodes of each of P members, as many at a time as there are environments.

    Initial state and noise of an episode depend only on the member's seed, the episode's index, `seed` and `stream`.
    The outcome therefore does not depend on the number of environments.

    Args:
        algorithm: the algorithm whose policies act.
        pool: at least P environments with a time limit.
        episodes: episodes per member E, >= 1.
        action_dim: size of one action, A.
        seed: seed of the episodes, >= 0.
        stream: name of the random stream of the acting noise.
        policy: "policy" (what the method acts with) or "behavior_policy" (f_beta alone).
        record_positions: keep the first member's paths (mazes only).
        execute_steps: executed actions per chunk, from 1 to h; None for all.
    """
    members = algorithm.members
    act = PopulationActor(algorithm, policy, stream, episodes=episodes)
    widths = [parameter.shape[-1] for parameter in algorithm.networks.parameters()]
    # Use few threads: idle torch threads wait actively, and would take cores from the processes that step environments.
    with computing_threads(None, widths, members * min(episodes, pool.count // members)):
        sizes = (members, episodes, algorithm.horizon_length, action_dim)
        return evaluate(act, pool, *sizes, seed, record_positions, act.begin, execute_steps)
