"""Collect online transitions: one step in every environment at a time, with chunks executed open loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from qam_torch.envs.pool import EnvironmentFailure, EnvironmentPool
from qam_torch.rollout.evaluation import chunk_from
from qam_torch.types import Experience, QamError

__all__ = ["Actor", "EnvironmentCollector"]

# Makes the seeds of collection episodes differ from the seeds of evaluation episodes.
_STREAM = 0xC0113C7


class Actor(Protocol):
    """A policy with a random state that can be saved."""

    def __call__(self, observations: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Return chunks (P, E, D) for observations (P, E, O); draw noise only for the members in `active` (P,) bool."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain values and arrays."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        ...


class EnvironmentCollector:
    """Collects transitions from E environments for each of P members.

    Args:
        act: policies of the members.
        make_pool: function that makes P * E environments, called on first use. Member p has rows p * E to
            (p + 1) * E - 1.
        seeds: (P,), one per member. Episode k of a member's environment e starts from a seed that depends only on
            (seed, e, k).
        streams: E, >= 1.
        horizon_length: h. `act` returns whole chunks (P, E, h * A), which are executed one action per step, or single
            actions (P, E, A) in n-step mode.
        log: function that receives a message if an environment's state could not be restored.
        execute_steps: number of a chunk's actions that are executed before `act` is called again, in 1..h; None: all.

    When an episode ends by termination or time limit, the environment is reset before `collect` returns (gymnasium's
    SAME_STEP). The rest of the chunk is dropped, and the transition keeps the last observation of the old episode.

    For each environment, a checkpoint stores the current episode's number and actions, and MuJoCo's state. A continued
    run replays the actions, which also restores internal state of the environment outside MuJoCo. It then compares the
    replayed state with the stored state.

    Raises:
        QamError: sizes do not fit together.
        EnvironmentFailure: an environment fails.
    """

    def __init__(
        self,
        act: Actor,
        make_pool: Callable[[], EnvironmentPool],
        seeds: Sequence[int],
        streams: int,
        horizon_length: int,
        log: Callable[[str], None] = print,
        execute_steps: int | None = None,
    ) -> None:
        self.act, self.make_pool, self.log, self.execute_steps = act, make_pool, log, execute_steps
        self.members, self.streams, self.horizon_length = len(seeds), streams, horizon_length
        self._seeds = [(seed, e) for seed in seeds for e in range(streams)]
        count = len(self._seeds)
        self._pool: EnvironmentPool | None = None
        self._failed = False
        self._observations = np.zeros((count, 0), np.float32)
        self._chunks = np.zeros((count, 0, 0), np.float32)
        self._position = np.zeros(count, np.int64)
        self._episode = np.full(count, -1)
        self._played: list[list[np.ndarray]] = [[] for _ in range(count)]
        # Columns for the current episodes: return, steps, success, and whether success was ever reported.
        self._running = np.zeros((count, 4))
        self._finished: list[tuple[int, float, float, float]] = []

    def collect(self) -> Experience:
        """Take one step in every environment, and return the transitions (1, P, E, ...)."""
        try:
            return self._collect(self._ready())
        except EnvironmentFailure:
            self._failed = True
            raise

    def _collect(self, pool: EnvironmentPool) -> Experience:
        out = self._position == self._chunks.shape[1]
        if out.any():
            self._plan(pool, out)
        rows = np.arange(pool.count)
        actions = self._chunks[rows, self._position]
        before, begins = self._observations, np.array([not actions for actions in self._played])
        result = pool.step_chunk(actions[:, None])
        self._position += 1
        for played, action in zip(self._played, actions, strict=True):
            played.append(action)
        self._running += np.transpose([result.rewards, result.steps, result.success, result.reported])
        self._observations = result.observations
        over = result.terminated | result.truncated
        if over.any():
            for row in np.flatnonzero(over).tolist():
                self._finished.append((row // self.streams, *self._running[row].tolist()))
            self._begin_episodes(pool, over)
        masks = 1 - result.terminated.astype(np.float32)
        fields = (before, actions, result.rewards, masks, begins, result.observations)
        return Experience(*(field.reshape(1, self.members, self.streams, *field.shape[1:]) for field in fields))

    def _plan(self, pool: EnvironmentPool, out: np.ndarray) -> None:
        """Compute new chunks for the environments whose chunk is finished."""
        lead = (self.members, self.streams)
        answer = self.act(self._observations.reshape(*lead, -1), np.any(out.reshape(lead), axis=1))
        chunks = chunk_from(answer, lead, self.horizon_length, pool, self.execute_steps)
        if self._chunks.shape != chunks.shape:
            self._chunks = np.zeros_like(chunks)
        self._chunks[out], self._position[out] = chunks[out], 0

    def _begin_episodes(self, pool: EnvironmentPool, rows: np.ndarray) -> None:
        self._episode[rows] += 1
        self._observations = pool.reset(self._episode_seeds(), rows)
        self._position[rows] = self._chunks.shape[1]
        self._running[rows] = 0
        for row in np.flatnonzero(rows):
            self._played[row] = []

    def _episode_seeds(self) -> np.ndarray:
        words = (
            np.random.SeedSequence([seed, _STREAM, e, k])
            for (seed, e), k in zip(self._seeds, self._episode, strict=True)
        )
        return np.array([word.generate_state(1)[0] for word in words], np.int64)

    def _ready(self) -> EnvironmentPool:
        if self._pool is None:
            self._pool = self._made_pool()
            self._begin_episodes(self._pool, np.ones(self._pool.count, bool))
        return self._pool

    def _made_pool(self) -> EnvironmentPool:
        pool = self.make_pool()
        if pool.count != len(self._seeds):
            pool.close()
            raise QamError(
                f"got a pool of {pool.count} environments, expected {len(self._seeds)} for {self.members} members with "
                f"{self.streams} each"
            )
        return pool

    def statistics(self) -> dict[str, np.ndarray]:
        """Return statistics of the episodes that ended since the last call.

        Returns:
            Metric -> (P,): the number of episodes, and their mean return, length and success. A mean is nan if there is
            no episode, or for success if no episode reported it.
        """
        finished, self._finished = np.array(self._finished).reshape(-1, 5), []
        own = [finished[finished[:, 0] == p] for p in range(self.members)]
        found = {"collection/episodes": np.array([len(episodes) for episodes in own], np.float64)}
        for i, name in enumerate(("return", "length", "success"), start=1):
            values_of = [
                episodes[:, i] if name != "success" else episodes[episodes[:, 4] > 0, i] > 0 for episodes in own
            ]
            found[f"collection/{name}"] = np.array([values.mean() if len(values) else np.nan for values in values_of])
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the state as arrays and plain values. After a failure, the environments' states are not included."""
        state: dict[str, Any] = {
            "act": self.act.state_dict(),
            "episode": self._episode.copy(),
            "finished": list(self._finished),
            "environments": None,
        }
        if self._pool is not None and not self._failed:
            state["environments"] = {
                "observations": self._observations,
                "chunks": self._chunks.copy(),
                "position": self._position.copy(),
                "running": self._running.copy(),
                "played": [np.array(actions) for actions in self._played],
                "physics": self._pool.physics(),
            }
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore a saved state. Environments whose state cannot be restored bit for bit start new episodes."""
        self.act.load_state_dict(state_dict["act"])
        self._episode = np.array(state_dict["episode"])
        self._finished = [tuple(episode) for episode in state_dict["finished"]]
        saved = state_dict["environments"]
        if saved is None:
            if (self._episode >= 0).any():
                self.log("the environments' states were lost: new episodes begin")
            return
        self._chunks, self._position = np.array(saved["chunks"]), np.array(saved["position"])
        self._running = np.array(saved["running"])
        self._played = [list(actions) for actions in saved["played"]]
        pool = self._made_pool()
        try:
            self._observations = self._play_again(pool, saved["played"])
            physics = pool.physics()
        except EnvironmentFailure as failure:
            self.log(f"the saved states could not be restored: new episodes begin ({failure})")
            return
        self._pool = pool
        astray = np.array(
            [
                not np.array_equal(self._observations[row], saved["observations"][row])
                or not _equal(physics[row], saved["physics"][row])
                for row in range(pool.count)
            ]
        )
        if astray.any():
            count = f"{astray.sum()} of {pool.count} environments" if pool.count > 1 else "the environment"
            self.log(f"{count} could not be restored to the saved state: a new episode begins there")
            self._begin_episodes(pool, astray)

    def _play_again(self, pool: EnvironmentPool, played: Sequence[np.ndarray]) -> np.ndarray:
        """Replay the current episodes one by one, because their lengths differ, and return the last observations."""
        observations = pool.reset(self._episode_seeds())
        for row, actions in enumerate(played):
            if len(actions):
                again = np.repeat(actions[None], pool.count, axis=0)
                observations = pool.step_chunk(again, np.arange(pool.count) == row).observations
        return observations

    def close(self) -> None:
        """Stop the environments' processes."""
        if self._pool is not None:
            self._pool.close()


def _equal(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
