"""Call a `Host` in this process or in a worker process by the same two methods: `send`, then `receive`."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import gymnasium

from qam_torch.envs.host import Host
from qam_torch.envs.recording import HostFailure
from qam_torch.envs.step_metrics import StepMetric
from qam_torch.system.worker_process import WorkerDied, WorkerProcess
from qam_torch.types import QamError

__all__ = ["HostHandle", "LocalHost", "RemoteHost", "pickled_metrics"]


class HostHandle(Protocol):
    """A connection to one host.

    The first `receive` returns the spaces of the environments. After that, every `send` is followed by one `receive`.
    """

    def send(self, method: str, *arguments: Any) -> None:
        """Start a call of a method of `Host`."""
        ...

    def receive(self) -> Any:
        """Wait for the result of the call, and raise HostFailure if the call failed."""
        ...

    def close(self) -> None:
        """Release all resources. It is safe to call this method twice."""
        ...


class LocalHost:
    """A host in this process."""

    def __init__(
        self, make: Callable[[], gymnasium.Env], indices: Sequence[int], metrics: Sequence[StepMetric] = ()
    ) -> None:
        self._host = Host(make, indices, metrics)
        self._asked: tuple[str, tuple[Any, ...]] | None = None

    def send(self, method: str, *arguments: Any) -> None:
        self._asked = (method, arguments)

    def receive(self) -> Any:
        if self._asked is None:
            return self._host.spaces
        (method, arguments), self._asked = self._asked, None
        return getattr(self._host, method)(*arguments)

    def close(self) -> None:
        self._host.close()


class RemoteHost:
    """A host in a worker process.

    Args:
        make: picklable function that makes one environment, importable by its name.
        indices: indices of the environments in the pool.
        variables: environment variables to set in the worker, e.g. MUJOCO_GL.
        metrics: custom metrics of episodes, importable by their names.

    Raises:
        QamError: `make` or a metric cannot be sent to a worker.
        HostFailure: the worker has already ended.
    """

    def __init__(
        self,
        make: Callable[[], gymnasium.Env],
        indices: Sequence[int],
        variables: Mapping[str, str] | None = None,
        metrics: Sequence[StepMetric] = (),
    ) -> None:
        pickled = _pickled(make, "the environment factory", [getattr(make, "func", make)])
        sent_metrics = pickled_metrics(metrics)
        try:
            self._worker = WorkerProcess("qam_torch.envs.host", variables)
        except WorkerDied as error:
            raise HostFailure(f"{error}: let this process run the environments (0 workers)") from error
        self.send("open", pickled, list(indices), sent_metrics)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._worker.pid

    def send(self, method: str, *arguments: Any) -> None:
        try:
            self._worker.send((method, arguments))
        except WorkerDied as error:
            raise self._failure(error) from error

    def receive(self) -> Any:
        try:
            kind, answer = self._worker.receive()
        except WorkerDied as error:
            raise self._failure(error) from error
        if kind == "failed":
            raise HostFailure(answer)
        return answer

    def close(self) -> None:
        self._worker.close()

    def _failure(self, error: WorkerDied) -> HostFailure:
        return HostFailure(
            f"the worker {error} while it was needed: see its message above, "
            "or use 0 workers to run the environments in this process"
        )


def pickled_metrics(metrics: Sequence[StepMetric], without_workers: str = "use 0 workers") -> bytes:
    """Pickle custom metrics for a worker process, which imports them by their names.

    Args:
        metrics: custom metrics of episodes.
        without_workers: how the user runs environments without workers, for the error message.

    Raises:
        QamError: a worker could not import one of the metrics.
    """
    return _pickled(tuple(metrics), "an evaluation metric", metrics, without_workers)


def _pickled(content: Any, name: str, functions: Sequence[Any], without_workers: str = "use 0 workers") -> bytes:
    """Pickle the content, and raise QamError if a worker could not load it."""
    try:
        pickled = pickle.dumps(content)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise QamError(
            f"{name} cannot be sent to a worker process ({error}): "
            f"define it at the top level of an importable module, or {without_workers} to run it in this process"
        ) from error
    if any(getattr(function, "__module__", None) == "__main__" for function in functions):
        raise QamError(
            f"{name} is defined in the main script, which workers do not import: "
            f"move it to a separate module, or {without_workers} to run it in this process"
        )
    return pickled
