"""A `Host` in this process or in one of its own, behind the same two calls: send, then receive."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import gymnasium

from qam_torch.envs.host import Host, HostFailure
from qam_torch.types import QamError

__all__ = ["HostHandle", "LocalHost", "RemoteHost"]

# sys.path comes first, so that the worker finds every module the parent can import.
_MAIN = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from qam_torch.envs.host import serve
serve()
"""


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """A child started inside never sees Ctrl-C, the parent's business, not even as it starts."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class HostHandle(Protocol):
    """One host: every `send` is followed by one `receive`; the first answer, unasked for, are the spaces."""

    def send(self, method: str, *arguments: Any) -> None:
        """Ask for a method of `Host` to be called."""
        ...

    def receive(self) -> Any:
        """Wait for its answer; HostFailure tells what went wrong."""
        ...

    def close(self) -> None:
        """Release everything; may be called twice."""
        ...


class LocalHost:
    """Environments in this process."""

    def __init__(self, make: Callable[[], gymnasium.Env], indices: Sequence[int]) -> None:
        self._host = Host(make, indices)
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
    """Environments in a fresh interpreter, spoken to through its standard input and output.

    A plain child process instead of `multiprocessing`: neither a fork of a process with threads and a GPU context,
    nor a second import of the main module, which in a training script brings torch into every worker and needs an
    `if __name__ == "__main__"`.

    make       picklable factory of one environment, importable under its name
    indices    the pool's numbers of the environments
    variables  environment variables to set in the worker, e.g. MUJOCO_GL

    Raises QamError if `make` cannot be pickled.
    """

    def __init__(
        self, make: Callable[[], gymnasium.Env], indices: Sequence[int], variables: Mapping[str, str] | None = None
    ) -> None:
        try:
            pickled = pickle.dumps(make)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise QamError(
                f"the environment factory cannot be sent to a worker process ({error}): "
                "define it at the top level of an importable module, or let this process run them (0 workers)"
            ) from error
        if getattr(getattr(make, "func", make), "__module__", None) == "__main__":
            raise QamError(
                "the environment factory is defined in the main script, which workers do not import: "
                "move it to a module of its own, or let this process run them (0 workers)"
            )
        with _interrupts_blocked():
            self._process = subprocess.Popen(
                [sys.executable, "-c", _MAIN],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **(variables or {})},
            )
        self._write(sys.path)
        self.send("open", pickled, list(indices))

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def send(self, method: str, *arguments: Any) -> None:
        self._write((method, arguments))

    def receive(self) -> Any:
        assert self._process.stdout is not None
        try:
            kind, answer = pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError) as error:
            raise self._gone() from error
        if kind == "failed":
            raise HostFailure(answer)
        return answer

    def close(self) -> None:
        """End the worker: it leaves when its input closes, and is killed if it does not within two seconds."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self, message: Any) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(message, self._process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:
            raise self._gone() from error

    def _gone(self) -> HostFailure:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        return HostFailure(
            f"the worker process {self.pid} ended with status {self._process.returncode} while it was needed: "
            "see its message above, or let this process run them (0 workers)"
        )
