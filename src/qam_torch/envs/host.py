"""Several environments in one process, which execute a whole chunk of actions per call. Use `EnvironmentPool` instead.

Worker processes import this module, so it must not import torch.
"""

from __future__ import annotations

import contextlib
import pickle
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.random.mtrand import get_bit_generator, set_bit_generator

from qam_torch.envs.chunk_result import ChunkResult, spaces_of
from qam_torch.envs.recording import HostFailure, Trace, physics_of
from qam_torch.envs.step_metrics import Step, StepMetric
from qam_torch.envs.verdict import verdict_of
from qam_torch.system.machine import garbage_since, resident_bytes
from qam_torch.system.worker_process import answer_messages
from qam_torch.types import QamError

__all__ = ["Host", "serve"]


class Host:
    """The environments of a pool that run in this process.

    Each environment has a random generator, which replaces numpy's global generator while the environment is reset or
    stepped. It is seeded with the episode's seed, so that an episode depends only on its seed and actions. Afterwards
    the global generator is restored.

    Args:
        make: function that makes one environment.
        indices: indices of the environments in the pool.
        metrics: M custom metrics of episodes.
    """

    def __init__(
        self, make: Callable[[], gymnasium.Env], indices: Sequence[int], metrics: Sequence[StepMetric] = ()
    ) -> None:
        self._make, self._metrics = make, tuple(metrics)
        self.indices: list[int] = []
        self.environments: list[gymnasium.Env] = []
        self._made_bytes = 0
        self.extend(indices)

    def extend(self, indices: Sequence[int]) -> None:
        """Make more environments, and keep the existing ones. Call this method only between episodes."""
        self.indices += indices

        def make_one(index: int) -> None:
            self.environments.append(_made(self._make, index))

        with _numpy_state_kept():
            set_bit_generator(np.random.MT19937(0))
            try:
                self._made_bytes = _bytes_of_each(make_one, indices)
                self.spaces = spaces_of(self.environments[0])
            except BaseException:
                self.close()
                raise
        count = len(self.indices)
        self._values: list[list[float | None]] = [[None] * len(self._metrics) for _ in range(count)]
        self._generators = [np.random.MT19937(0) for _ in range(count)]
        self._taken = [0] * count
        self._observations = np.zeros((count, self.spaces.observation_dim), np.float32)

    def try_out(self) -> int:
        """Reset every environment and step it once.

        Returns:
            Memory per environment in bytes. The first environment is not measured, because it also loads libraries. The
            result is 0 (unknown) if there is only one environment.
        """
        rows = np.arange(len(self.indices))
        middle = ((self.spaces.action_low + self.spaces.action_high) / 2).astype(np.float32)

        def try_one(row: int) -> None:
            self.reset(np.zeros(len(rows), np.int64), rows == row)
            self.step_chunk(np.tile(middle, (len(rows), 1, 1)), rows == row)

        return self._made_bytes + _bytes_of_each(try_one, rows.tolist())

    def reset(self, seeds: np.ndarray, active: np.ndarray) -> np.ndarray:
        """Start new episodes in the active environments.

        Args:
            seeds: (m,), seed of each episode.
            active: (m,) bool, environments to reset.

        Returns:
            Observations (m, O). Inactive environments keep their last observation.
        """
        with _numpy_state_kept():
            for row in np.flatnonzero(active).tolist():
                environment, seed = self.environments[row], int(seeds[row])
                self._taken[row] = 0
                self._values[row] = [None] * len(self._metrics)
                self._generators[row] = np.random.MT19937(seed)
                set_bit_generator(self._generators[row])
                with self._failure_named(row, "reset"):
                    environment.action_space.seed(seed)
                    self._observations[row] = environment.reset(seed=seed)[0]
        self._check_finite("reset")
        return self._observations.copy()

    def step_chunk(
        self, actions: np.ndarray, active: np.ndarray, record: Sequence[str] = (), frame_every: int = 1
    ) -> ChunkResult:
        """Execute actions (m, h, A) in the active environments. Each stops when its chunk or its episode ends."""
        count = len(self.indices)
        rewards, steps = np.zeros(count), np.zeros(count, np.int64)
        success, reported, terminated, truncated = (np.zeros(count, bool) for _ in range(4))
        positions: list[np.ndarray | None] = [None] * count
        frames: list[np.ndarray | None] = [None] * count
        with _numpy_state_kept():
            for row in np.flatnonzero(active).tolist():
                environment = self.environments[row]
                set_bit_generator(self._generators[row])
                with self._failure_named(row, "step"):
                    trace = Trace(environment, record, frame_every)
                    if self._taken[row] == 0:
                        trace.add(0)
                    for action in actions[row]:
                        # This drops numpy's cached Gaussian, so that episodes do not depend on chunk boundaries.
                        set_bit_generator(self._generators[row])
                        observation, paid, end, limit, info = environment.step(action)
                        reward = paid if isinstance(paid, float) else self._one_number(row, paid)
                        rewards[row] += reward
                        steps[row] += 1
                        verdict = verdict_of(info)
                        success[row] |= bool(verdict)
                        reported[row] |= verdict is not None
                        self._taken[row] += 1
                        trace.add(self._taken[row], last=bool(end or limit))
                        if self._metrics:
                            self._measure(row, Step(observation, action, reward, bool(end), bool(limit), info))
                        if end or limit:
                            terminated[row], truncated[row] = bool(end), bool(limit)
                            break
                    self._observations[row] = observation
                    positions[row], frames[row] = trace.positions(), trace.frames()
        self._check_finite("step", rewards)
        return ChunkResult(
            self._observations.copy(),
            rewards,
            steps,
            success,
            reported,
            terminated,
            truncated,
            positions if "positions" in record else None,
            frames if "frames" in record else None,
            np.array(self._values, np.float64) if self._metrics else None,  # None becomes nan
        )

    def physics(self) -> list[dict[str, np.ndarray]]:
        """Return the physical states of the environments, each an empty dictionary if unknown."""
        return [physics_of(environment) for environment in self.environments]

    def close(self) -> None:
        """Close all environments."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for environment in self.environments:
                environment.close()

    def _measure(self, row: int, step: Step) -> None:
        """Update the custom metrics of one environment's episode."""
        values = self._values[row]
        for j, metric in enumerate(self._metrics):
            try:
                value = metric(values[j], step)
                values[j] = None if value is None else float(value)
            except Exception as error:
                raise HostFailure(
                    f"evaluation metric '{metric.__name__}' failed ({type(error).__name__}: {error}): expected "
                    "a function of (previous value or None, step) returning a number or None"
                ) from error

    def _one_number(self, row: int, reward: Any) -> float:
        """Convert a reward to a float. It may be an array of one number."""
        array = np.asarray(reward)
        if array.size != 1 or array.dtype.kind not in "biuf":
            raise HostFailure(
                f"environment {self.indices[row]} returned the reward {reward!r} in step, expected one number: return "
                "it from the environment's step, or from a wrapper's"
            )
        return float(array.item())

    @contextlib.contextmanager
    def _failure_named(self, row: int, doing: str) -> Iterator[None]:
        try:
            yield
        except HostFailure:
            raise
        except Exception as error:
            raise HostFailure(
                f"environment {self.indices[row]} failed in {doing} ({type(error).__name__}: {error})"
            ) from error

    def _check_finite(self, doing: str, rewards: np.ndarray | None = None) -> None:
        wrong = {"observation": ~np.isfinite(self._observations).all(axis=1)}
        if rewards is not None:
            wrong["reward"] = ~np.isfinite(rewards)
        for what, rows in wrong.items():
            if rows.any():
                raise HostFailure(
                    f"environment {self.indices[rows.argmax()]} returned a non-finite {what} in {doing}, expected "
                    "finite numbers: check the simulation and the actions"
                )


def _made(make: Callable[[], gymnasium.Env], index: int) -> gymnasium.Env:
    try:
        return make()
    except (HostFailure, QamError):
        raise
    except Exception as error:
        raise HostFailure(f"environment {index} cannot be made ({type(error).__name__}: {error})") from error


def _bytes_of_each(work: Callable[[int], None], rows: Sequence[int]) -> int:
    """Run `work` on each row. Return the mean memory in bytes of each row after the first, or 0 for a single row."""
    first, more = rows[:1], rows[1:]
    with garbage_since() as collect:
        for row in first:
            work(row)
        collect()
        before = resident_bytes()
        for row in more:
            work(row)
        if not more:
            return 0
        collect()
        return max(0, resident_bytes() - before) // len(more)


@contextlib.contextmanager
def _numpy_state_kept() -> Iterator[None]:
    """Restore numpy's global generator after the block.

    Swapping generators takes 0.25 microseconds, but copying a state takes 27. So generators are swapped for each
    environment. A swap drops numpy's cached Gaussian, which the saved state restores.
    """
    generator, state = get_bit_generator(), np.random.get_state(legacy=False)
    try:
        yield
    finally:
        set_bit_generator(generator)
        if state["has_gauss"]:
            np.random.set_state(state)


def serve() -> None:
    """Run a worker: read (method, arguments), and write ("done", result) or ("failed", reason)."""
    hosts: list[Host] = []

    def answer(message: tuple[str, tuple[Any, ...]]) -> tuple[str, Any]:
        method, arguments = message
        try:
            if method == "open":
                hosts.append(Host(pickle.loads(arguments[0]), arguments[1], pickle.loads(arguments[2])))
                return "done", hosts[0].spaces
            return "done", getattr(hosts[0], method)(*arguments)
        except (HostFailure, ValueError) as error:
            return "failed", str(error)
        except Exception as error:  # the parent process raises it again
            return "failed", f"{type(error).__name__}: {error}"

    answer_messages(answer)
    for host in hosts:
        host.close()
