"""Evaluate policies: run episodes of all members in parallel, with one batched policy call per chunk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from qam_torch.envs.pool import EnvironmentPool
from qam_torch.rollout.slots import Slots
from qam_torch.stats.success import seeds_interval, wilson_interval
from qam_torch.types import QamError, is_integer, require

__all__ = ["BUILT_IN", "Act", "Evaluation", "chunk_from", "episode_seeds", "evaluate", "require_execute_steps"]

Act = Callable[[np.ndarray], np.ndarray]
"""Observations (P, S, O) -> action chunks (P, S, h * A), flattened time-major, or single actions (P, S, A)."""

BUILT_IN = ("success", "return", "length")
"""Metrics of every evaluation. Success is present only if the environment reports it."""


@dataclass(frozen=True)
class Evaluation:
    """The outcome of E episodes of each of P members.

    Attributes:
        metrics: (P, E) arrays by name. "success" (bool) is whether the task was solved; it is absent if the environment
            does not report it, which is common in Gymnasium. "return" (float64) is the undiscounted sum of rewards.
            "length" (int64) is the number of steps. Custom metrics (float64) are nan for episodes without a value.
        seconds: wall time of the episodes.
        trajectories: xy arrays (length + 1, 2) of the first member's episodes (mazes only); None unless recorded.
    """

    metrics: dict[str, np.ndarray]
    seconds: float
    trajectories: tuple[np.ndarray, ...] | None = None

    @property
    def success(self) -> np.ndarray | None:
        """Success of the episodes (P, E) bool, or None if the environment does not report it."""
        return self.metrics.get("success")

    @property
    def returns(self) -> np.ndarray:
        """Returns of the episodes (P, E) float64."""
        return self.metrics["return"]

    @property
    def lengths(self) -> np.ndarray:
        """Lengths of the episodes (P, E) int64."""
        return self.metrics["length"]

    def of(self, members: Sequence[int]) -> Evaluation:
        """Return the evaluation of some members, without trajectories."""
        rows = list(members)
        return Evaluation({name: values[rows] for name, values in self.metrics.items()}, self.seconds)

    def with_success(self) -> Evaluation:
        """Add success = False if success is missing. Use this only if the environment is known to report success."""
        if self.success is not None:
            return self
        return replace(self, metrics={"success": np.zeros(self.returns.shape, bool), **self.metrics})

    def success_rate(self) -> np.ndarray:
        """Return each member's share of solved episodes, (P,) in [0, 1]; raise QamError if success is not reported."""
        return self._solved().mean(axis=1)

    def interval(self, level: float = 0.95) -> np.ndarray:
        """Return the Wilson interval of each member's success rate, (P, 2): lower and upper end."""
        return np.array([wilson_interval(int(row.sum()), row.size, level) for row in self._solved()])

    def seeds_interval(self) -> tuple[float, float] | None:
        """Return the 95% interval of the success rate over members that differ only in seed, see `stats.success`."""
        return seeds_interval(self.success_rate(), self._solved().shape[1])

    def by_member(self) -> dict[str, np.ndarray]:
        """Compute the mean of every metric over each member's episodes.

        Returns:
            Name -> (P,) float64, in the order of `metrics`; nan for a member without any value.
        """
        return {name: _mean_of_episodes(values) for name, values in self.metrics.items()}

    def custom(self) -> dict[str, np.ndarray]:
        """Return `by_member` for custom metrics only."""
        return {name: values for name, values in self.by_member().items() if name not in BUILT_IN}

    def summary(self, grid: bool = False) -> dict[str, Any]:
        """Return all metrics as plain values, as in summary.json.

        Args:
            grid: whether members differ in hyperparameters; there is then no interval over members.

        Returns:
            Over all members: "success", "success_95" (from `seeds_interval`; None for two to four members, or in a
            grid), "return", "return_range" (minimum and maximum over episodes) and "length". Lists with one entry per
            member: "success_by_seed", "success_95_by_seed" and "return_by_seed". The success keys are absent if the
            environment does not report success. Each custom metric NAME has "NAME" and "NAME_by_seed", in which None
            means no value.
        """
        values = {
            "return": float(self.returns.mean()),
            "return_by_seed": self.returns.mean(axis=1).tolist(),
            "return_range": [float(self.returns.min()), float(self.returns.max())],
            "length": float(self.lengths.mean()),
        }
        for name, means in self.custom().items():
            values[name] = _plain(_mean_of_episodes(means[None]).item())
            values[f"{name}_by_seed"] = [_plain(mean) for mean in means.tolist()]
        if self.success is None:
            return values
        interval = None if grid else self.seeds_interval()
        return {
            "success": float(self.success_rate().mean()),
            "success_95": None if interval is None else list(interval),
            "success_by_seed": self.success_rate().tolist(),
            "success_95_by_seed": self.interval().tolist(),
            **values,
        }

    def _solved(self) -> np.ndarray:
        if self.success is None:
            raise QamError("the environment does not report whether an episode succeeded: compare the returns")
        return self.success


def _mean_of_episodes(values: np.ndarray) -> np.ndarray:
    """Average (P, E) -> (P,) over the episodes that have a value; the mean is nan if no episode has a value."""
    missing = np.isnan(values)
    if not missing.any():
        return values.mean(axis=1)
    counts = (~missing).sum(axis=1)
    sums = np.where(missing, 0.0, values).sum(axis=1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _plain(value: float) -> float | None:
    """Convert NaN to None, for JSON."""
    return None if math.isnan(value) else value


def episode_seeds(seed: int, episodes: int) -> np.ndarray:
    """Return the seeds (E,) of the episodes. Entry e depends only on (seed, e), not on E."""
    return np.array([np.random.SeedSequence([seed, e]).generate_state(1)[0] for e in range(episodes)], np.int64)


def evaluate(
    act: Act,
    pool: EnvironmentPool,
    members: int,
    episodes: int,
    horizon_length: int,
    action_dim: int,
    seed: int,
    record_positions: bool = False,
    begin: Callable[[np.ndarray], None] | None = None,
    execute_steps: int | None = None,
) -> Evaluation:
    """Run E episodes for each of P members, S at a time per member, with chunks executed open loop.

    Args:
        act: policy, called once for all members and slots. A slot is an environment; an episode stays in one slot. A
            slot without an episode keeps its last observation, and its action is ignored.
        pool: at least P environments with a time limit, member-major; S = min(E, environments // P). It can be reused.
        members: P.
        episodes: E, episodes per member.
        horizon_length: h. `act` returns whole chunks (P, S, h * A), or single actions (P, S, A) in n-step mode.
        action_dim: A.
        seed: seed of the evaluation; (seed, e) gives the seed of episode e, so all members have the same starts.
        record_positions: whether to record the first member's trajectories (mazes only).
        begin: called before `act` when episodes begin, with their indices (P, S), -1 in other slots.
        execute_steps: number of a chunk's actions that are executed before `act` is called again, in 1..h; None: all.

    Actions are clipped to the environment's action box.

    Raises:
        QamError: sizes do not fit together, or the policy's actions are not finite.
        EnvironmentFailure: an environment fails.
    """
    if members < 1 or episodes < 1 or horizon_length < 1 or members > pool.count:
        raise QamError(
            f"{members} members with {episodes} episodes and horizon_length={horizon_length} do not fit "
            f"a pool of {pool.count} environments: each must be >= 1, with one environment per member"
        )
    if action_dim != pool.action_dim:
        raise QamError(f"got action_dim={action_dim}, the environment has {pool.action_dim}: use that")
    if pool.max_episode_steps is None:
        raise QamError("the environment has no time limit, so an episode may never end: wrap it in a TimeLimit")
    slots = Slots(members, episodes, pool.count)
    rows, shape = members * slots.size, (members, slots.size)
    record = ("positions",) if record_positions else ()
    returns, lengths = np.zeros(pool.count), np.zeros(pool.count, np.int64)
    success, reported = np.zeros(pool.count, bool), False
    path: list[list[np.ndarray]] = [[] for _ in range(pool.count)]
    found = {
        "success": np.zeros((members, episodes), bool),
        "return": np.zeros((members, episodes)),
        "length": np.zeros((members, episodes), np.int64),
        **{name: np.full((members, episodes), np.nan) for name in pool.metric_names},
    }
    trajectories: dict[int, np.ndarray] = {}
    seeds = episode_seeds(seed, episodes)

    started = time.perf_counter()
    observations = np.zeros((pool.count, pool.observation_dim), np.float32)
    while True:
        begins = slots.begin()
        new = np.zeros(pool.count, bool)
        new[:rows] = begins.ravel() >= 0
        if new.any():
            given = np.zeros(pool.count, np.int64)
            given[new] = seeds[begins[begins >= 0]]
            observations = pool.reset(given, new)
            returns[new], lengths[new], success[new] = 0, 0, False
            if begin is not None:
                begin(begins)
        active = np.zeros(pool.count, bool)
        active[:rows] = slots.episode.ravel() >= 0
        if not active.any():
            break
        answer = act(observations[:rows].reshape(*shape, -1))
        actions = chunk_from(answer, shape, horizon_length, pool, execute_steps)
        padded = np.zeros((pool.count, *actions.shape[1:]), np.float32)
        padded[:rows] = actions
        result = pool.step_chunk(padded, active, record)
        observations = result.observations
        returns += result.rewards
        lengths += result.steps
        success |= result.success
        reported |= bool(result.reported.any())
        for row, piece in enumerate(result.positions or ()):
            if piece is not None:
                path[row].append(piece)
        over = active & (result.terminated | result.truncated)
        for row in np.flatnonzero(over).tolist():
            p, e = row // slots.size, int(slots.episode.flat[row])
            found["success"][p, e], found["return"][p, e], found["length"][p, e] = (
                success[row], returns[row], lengths[row],
            )  # fmt: skip
            if result.metrics is not None:
                for name, value in zip(pool.metric_names, result.metrics[row], strict=True):
                    found[name][p, e] = value
            if record and p == 0:
                trajectories[e] = np.concatenate(path[row])
            path[row] = []
        slots.end(over[:rows].reshape(shape))

    if not reported:
        del found["success"]
    seconds = time.perf_counter() - started
    return Evaluation(found, seconds, tuple(trajectories[e] for e in range(episodes)) if record else None)


def require_execute_steps(execute_steps: int | None, chunk_steps: int) -> None:
    """Raise QamError unless `execute_steps` is None (all actions of a chunk) or an integer from 1 to `chunk_steps`."""
    fits = execute_steps is None or (is_integer(execute_steps, 1) and execute_steps <= chunk_steps)
    require("execute_steps", fits, execute_steps, f"an integer from 1 to {chunk_steps}, the steps of a chunk, or null")


def chunk_from(
    answer: np.ndarray,
    lead: Sequence[int],
    horizon_length: int,
    pool: EnvironmentPool,
    execute_steps: int | None = None,
) -> np.ndarray:
    """Return the actions to execute, clipped to the action bounds.

    Args:
        answer: (*lead, h * A), or (*lead, A) in n-step mode, in which one action is executed at a time.
        lead: leading sizes of `answer`, e.g. (P, E).
        horizon_length: h.
        pool: environments with the action size A and the action bounds.
        execute_steps: k, number of a chunk's actions to execute, in 1..h; None: all.

    Returns:
        (rows, k, A) or (rows, 1, A) float32; rows is the product of `lead`.

    Raises:
        QamError: `answer` has another shape.
    """
    answer = np.asarray(answer, np.float32)
    widths = (horizon_length * pool.action_dim, pool.action_dim)
    if answer.shape[:-1] != tuple(lead) or answer.shape[-1] not in widths:
        raise QamError(
            f"the policy returned actions of shape {answer.shape}, expected {(*lead, widths[0])} for chunks "
            f"or {(*lead, widths[1])} for single actions: check horizon_length and the action size"
        )
    steps = answer.shape[-1] // pool.action_dim
    chunks = answer.reshape(-1, steps, pool.action_dim)[:, :execute_steps]
    # Clipping keeps NaN, for which step_chunk raises an error.
    return np.clip(chunks, pool.action_low, pool.action_high)
