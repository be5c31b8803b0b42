"""Many environments of one kind, which execute a whole action chunk per call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import gymnasium
import numpy as np

from qam_torch.envs.chunk_result import ChunkResult
from qam_torch.envs.host_process import HostHandle, LocalHost, RemoteHost
from qam_torch.envs.recording import RECORDS, HostFailure
from qam_torch.envs.step_metrics import StepMetric, metric_names
from qam_torch.system.machine import resident_bytes
from qam_torch.types import QamError

__all__ = ["EnvironmentFailure", "EnvironmentPool"]


class EnvironmentFailure(QamError):
    """An environment could not be made, raised an error, or returned a non-finite number, or its process ended."""


class EnvironmentPool:
    """n environments that execute chunks of actions open loop, in this process or distributed over worker processes.

    The pool behaves like Gymnasium's vector environments with automatic reset disabled. The caller must reset an
    environment whose episode is over before stepping it again. The pool does not use those vector environments, because
    they take one action per call. Processes would then exchange one message per step, but a policy that acts in chunks
    needs only one message per chunk.

    An episode depends only on its seed and actions. It does not depend on the workers, the other environments, earlier
    episodes, or numpy's global generator, which is restored.

    Close the pool after use (`with EnvironmentPool(...) as pool:`). Any failure or interrupt also closes it.

    Args:
        make: function that makes one environment with vector observations and actions, e.g.
            `functools.partial(make_environment, "pointmaze-medium-navigate-v0", task=1)`. It must be picklable if there
            are workers.
        count: number of environments n, at least 1.
        workers: number of worker processes W, at most n are used; environment i runs in process i mod W. With 0, all
            environments run in this process.
        variables: environment variables for the worker processes.
        metrics: custom metrics of episodes. They must be picklable if there are workers.

    Attributes:
        metric_names: names of the custom metrics.
        environment_bytes: memory of one environment in bytes; 0 if unknown, e.g. before `try_out`.

    Raises:
        EnvironmentFailure: the environments cannot be made, or the factory or a metric cannot be sent to a process.
        QamError: another argument is invalid.
    """

    def __init__(
        self,
        make: Callable[[], gymnasium.Env],
        count: int,
        workers: int = 0,
        variables: Mapping[str, str] | None = None,
        metrics: Sequence[StepMetric] = (),
    ) -> None:
        if count < 1 or workers < 0:
            raise QamError(f"count={count} and workers={workers}: expected count >= 1 and workers >= 0")
        self.count, self.metric_names = count, metric_names(metrics)
        self.workers = min(workers, count)
        self._rows = self._rows_of(count)
        self._hosts: list[HostHandle] = []
        self._closed = False
        self.environment_bytes = 0
        try:
            for rows in self._rows:
                numbers = rows.tolist()
                host = RemoteHost(make, numbers, variables, metrics) if workers else LocalHost(make, numbers, metrics)
                self._hosts.append(host)
            spaces = [host.receive() for host in self._hosts][0]
        except (HostFailure, QamError) as error:
            self.close()
            raise EnvironmentFailure(str(error)) from error
        except BaseException:
            self.close()
            raise
        self.observation_dim: int = spaces.observation_dim
        self.action_dim: int = spaces.action_dim
        self.action_low: np.ndarray = spaces.action_low
        self.action_high: np.ndarray = spaces.action_high
        self.max_episode_steps: int | None = spaces.max_episode_steps

    def try_out(self) -> None:
        """Reset every environment and step it once, to find errors early and to measure `environment_bytes`.

        Raises:
            EnvironmentFailure: an environment fails.
        """
        self.environment_bytes = max(self._exchange("try_out", [() for _ in self._rows]))

    def grow(self, count: int) -> None:
        """Make more environments, so that there are `count`. Call this method only between episodes."""
        rows = self._rows_of(count)
        self._exchange("extend", [(new[len(old) :].tolist(),) for old, new in zip(self._rows, rows, strict=True)])
        self.count, self._rows = count, rows

    def memory(self) -> int:
        """Return the memory of all worker processes in bytes."""
        return sum(resident_bytes(host.pid) for host in self._hosts if isinstance(host, RemoteHost))

    def reset(self, seeds: Sequence[int] | np.ndarray, active: np.ndarray | None = None) -> np.ndarray:
        """Start new episodes.

        Args:
            seeds: (n,), non-negative integers, one per environment.
            active: (n,) bool, environments to reset; None resets all.

        Returns:
            Observations (n, O) float32. Inactive environments keep their last observation.

        Raises:
            EnvironmentFailure: an environment fails, or returns an observation that is not finite.
            QamError: a seed is negative, or the shape of an argument is wrong.
        """
        numbers = np.asarray(seeds, np.int64)
        if numbers.shape != (self.count,) or (numbers < 0).any():
            raise QamError(f"got seeds of shape {numbers.shape}, expected {self.count} non-negative integers")
        chosen = self._mask(active)
        parts = self._exchange("reset", [(numbers[rows], chosen[rows]) for rows in self._rows])
        return self._merge(parts)

    def step_chunk(
        self,
        actions: np.ndarray,
        active: np.ndarray | None = None,
        record: Sequence[str] = (),
        frame_every: int = 1,
    ) -> ChunkResult:
        """Execute a chunk in every active environment. Each stops when its chunk or its episode ends.

        Args:
            actions: (n, h, A), within the action bounds. Rows of inactive environments are ignored.
            active: (n,) bool, environments to step; None steps all.
            record: any of "positions" (mazes) and "frames" (rendered images).
            frame_every: number of steps between two rendered images of an episode. Its end is always rendered.

        Returns:
            The results of the chunk.

        Raises:
            EnvironmentFailure: an environment fails, or returns a non-finite observation or reward.
            QamError: a shape is wrong, an action is not finite, or a name in `record` is unknown.
        """
        chosen = self._mask(active)
        actions = np.asarray(actions, np.float32)
        if actions.ndim != 3 or actions.shape[0] != self.count or actions.shape[2] != self.action_dim:
            raise QamError(
                f"got actions of shape {actions.shape}, expected ({self.count}, chunk length, {self.action_dim}): "
                "give one row per environment"
            )
        if not np.isfinite(actions[chosen]).all():
            raise QamError("got non-finite actions, expected finite numbers: the policy that made them has diverged")
        unknown = sorted(set(record) - set(RECORDS))
        if unknown:
            raise QamError(f"cannot record {', '.join(unknown)}: choose from {', '.join(RECORDS)}")
        messages = [(actions[rows], chosen[rows], tuple(record), frame_every) for rows in self._rows]
        parts = self._exchange("step_chunk", messages)
        return parts[0] if len(parts) == 1 else ChunkResult(*map(self._merge, zip(*parts, strict=True)))

    def physics(self) -> list[dict[str, np.ndarray]]:
        """Return the known physical state of each environment, see `envs.recording.physics_of`."""
        return self._merge(self._exchange("physics", [() for _ in self._rows]))

    def close(self) -> None:
        """Release the environments and end the worker processes. It is safe to call this method twice."""
        if not self._closed:
            self._closed = True
            for host in self._hosts:
                host.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_closed") and not sys.is_finalizing():  # at exit, workers end by themselves
            self.close()

    def _rows_of(self, count: int) -> list[np.ndarray]:
        """Distribute `count` environments over the hosts, and return the environment indices of each host."""
        hosts = max(self.workers, 1)
        return [np.arange(first, count, hosts) for first in range(hosts)]

    def _exchange(self, method: str, messages: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Send one message to every host, then receive one answer from each. Any error closes the pool."""
        if self._closed:
            raise QamError(
                "this environment pool is closed, because of an earlier failure or by close(): make a new one"
            )
        try:
            for host, message in zip(self._hosts, messages, strict=True):
                host.send(method, *message)
            return [host.receive() for host in self._hosts]
        except HostFailure as error:
            self.close()
            raise EnvironmentFailure(str(error)) from error
        except BaseException:  # an interrupt leaves answers unread, so that later answers would be wrong
            self.close()
            raise

    def _mask(self, active: np.ndarray | None) -> np.ndarray:
        chosen = np.ones(self.count, bool) if active is None else np.asarray(active, bool)
        if chosen.shape != (self.count,):
            raise QamError(f"got an active mask of shape {chosen.shape}, expected ({self.count},)")
        return chosen

    def _merge(self, parts: Sequence[Any]) -> Any:
        """Merge the hosts' rows in the pool's order: arrays (m, ...) to (n, ...), lists likewise, None to None."""
        if len(parts) == 1 or parts[0] is None:
            return parts[0]
        if isinstance(parts[0], list):
            return [parts[i % len(parts)][i // len(parts)] for i in range(self.count)]
        merged = np.empty((self.count, *parts[0].shape[1:]), parts[0].dtype)
        for rows, part in zip(self._rows, parts, strict=True):
            merged[rows] = part
        return merged
