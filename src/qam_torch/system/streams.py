"""Standard streams that never end the work: missing ones, and those whose reader or terminal is gone."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

__all__ = ["drop", "standard_streams"]


@contextlib.contextmanager
def standard_streams(lasting: bool) -> Iterator[None]:
    """Make the standard streams usable inside the block.

    Streams that are missing or closed become empty ones, and characters that the encoding of standard output lacks are
    printed as escapes.

    Args:
        lasting: what cannot be written is dropped, as after `| head`, or once the terminal is closed.
    """
    with contextlib.ExitStack() as restored:
        for name in ("stdin", "stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None or getattr(stream, "closed", False):
                stream = open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8")  # noqa: SIM115 (kept)
                os.set_inheritable(stream.fileno(), stream.fileno() <= 2)  # worker processes have the same streams
                setattr(sys, name, stream)
            if name == "stdin":
                continue
            if hasattr(stream, "reconfigure") and stream.errors == "strict":
                stream.reconfigure(errors="backslashreplace")
                restored.callback(_restore_errors, stream)
            if lasting and not isinstance(stream, _Lasting):
                setattr(sys, name, _Lasting(stream))
                restored.callback(setattr, sys, name, stream)
        yield


def drop(stream: TextIO) -> None:
    """Send what a stream has still to write, and all that follows, nowhere."""
    with contextlib.suppress(OSError, ValueError):
        number = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def _restore_errors(stream: Any) -> None:
    with contextlib.suppress(OSError, ValueError):  # it cannot be flushed, or was closed
        stream.reconfigure(errors="strict")


class _Lasting:
    """A stream that drops what is written once that fails."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write as the stream does."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: closed
            drop(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush as the stream does."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            drop(self._stream)
