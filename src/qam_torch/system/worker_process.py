"""A worker process that answers pickled messages. This module has both ends of the connection and imports no torch.

A plain child process is used instead of `multiprocessing`. `multiprocessing` would either fork a process that has
threads and a GPU context, or import the main module again in every worker. A training script would thereby import
torch.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import IO, Any, Self

from qam_torch.system.streams import standard_streams

__all__ = ["WorkerDied", "WorkerProcess", "answer_messages"]

# The worker ignores signals that a terminal or a scheduler sends to all processes of a run: the parent decides when a
# worker ends. It also ignores SIGTTOU, by which a terminal stops background processes that print.
# The first message is sys.path, so that the worker finds every module that the parent can import.
_MAIN = """
import pickle, signal, sys
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGTTOU"):
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
try:
    sys.path[:] = pickle.load(sys.stdin.buffer)
except EOFError:  # the parent was interrupted before it could send anything
    sys.exit()
from {module} import serve
serve()
"""


class WorkerDied(RuntimeError):
    """A worker process ended unexpectedly. The message contains its exit status."""


class WorkerProcess:
    """A new Python interpreter that runs a module's function `serve`, and sends one answer per message.

    The process ends when its input is closed, hence also when its parent is killed. It ignores signals that would end
    it. It leads a separate process group, so that Ctrl-C reaches only the parent. The option -P removes the working
    directory from the initial import path, so that a file there, e.g. types.py, does not replace a standard module.

    Args:
        module: module whose `serve()` calls `answer_messages`.
        variables: environment variables to add to the parent's.
        options: options of the interpreter, e.g. ("-W", "ignore").

    Raises:
        WorkerDied: the process has already ended.
    """

    def __init__(self, module: str, variables: Mapping[str, str] | None = None, options: tuple[str, ...] = ()) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", *options, "-c", _MAIN.format(module=module)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **(variables or {})},
            process_group=0,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._messages, self.answers = self._process.stdin, self._process.stdout
        self.send(sys.path)

    @property
    def pid(self) -> int:
        """The worker's process id."""
        return self._process.pid

    def send(self, message: Any) -> None:
        """Send a picklable message; raises WorkerDied if the process has ended."""
        try:
            pickle.dump(message, self._messages, protocol=pickle.HIGHEST_PROTOCOL)
            self._messages.flush()
        except (BrokenPipeError, ValueError) as error:
            raise self._died() from error

    def receive(self) -> Any:
        """Wait for the answer to the oldest unanswered message; raises WorkerDied if the process has ended."""
        try:
            return pickle.load(self.answers)
        except (EOFError, pickle.UnpicklingError) as error:
            raise self._died() from error

    def close(self, patience: float = 2.0) -> None:
        """End the process; may be called twice.

        Args:
            patience: seconds to wait until the process exits. After that it is killed.
        """
        with contextlib.suppress(OSError):
            self._messages.close()
        self.answers.close()
        try:
            self._process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _died(self) -> WorkerDied:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=2)
        return WorkerDied(f"process {self.pid} ended with status {self._process.returncode}")


def answer_messages(answer: Callable[[Any], Any]) -> None:
    """Run the main loop of a worker process: answer each message until the parent closes the connection or ends.

    Answers use standard output. Text that a library prints goes to standard error instead, and is dropped if standard
    error cannot be written to.

    Args:
        answer: function from a message to a picklable answer.
    """
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with standard_streams(lasting=True):
        _answer_all(answer, answers)


def _answer_all(answer: Callable[[Any], Any], answers: IO[bytes]) -> None:
    while True:
        try:
            message = pickle.load(sys.stdin.buffer)
        except (EOFError, pickle.UnpicklingError):  # the parent has ended, perhaps in the middle of a message
            return
        content = answer(message)
        try:
            pickle.dump(content, answers, protocol=pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except BrokenPipeError:  # the parent has ended without waiting for the answer
            return
