"""Standard streams whose failures do not end the program, e.g. if a stream is missing or its terminal is closed."""

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

    Streams that are missing or closed are replaced by empty streams. Characters that the encoding of an output stream
    lacks are printed as escapes.

    Args:
        lasting: whether output that cannot be written is dropped, e.g. after `| head` or after the terminal is closed.
    """
    with contextlib.ExitStack() as restored:
        for name in ("stdin", "stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None or getattr(stream, "closed", False):
                stream = open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8")  # noqa: SIM115 (kept)
                os.set_inheritable(stream.fileno(), stream.fileno() <= 2)  # worker processes inherit the streams
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
    """Discard the pending output of a stream and all later output."""
    with contextlib.suppress(OSError, ValueError):
        number = stream.fileno()
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def _restore_errors(stream: Any) -> None:
    with contextlib.suppress(OSError, ValueError):  # the stream cannot be flushed, or is closed
        stream.reconfigure(errors="strict")


class _Lasting:
    """A stream that drops all output after writing has failed once."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write the text, or drop it if writing fails; return the number of characters."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # ValueError: the stream is closed
            drop(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush the stream, or drop its output if flushing fails."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            drop(self._stream)
