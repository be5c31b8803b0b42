"""Signals that end a process: SIGTERM, as of a scheduler, and SIGHUP, as of a closed terminal."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["Ending", "Terminated", "termination_raises"]

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has no SIGHUP


class Terminated(KeyboardInterrupt):
    """The process is to end; a kind of Ctrl-C, so that everything is cleaned up in the same way.

    Args:
        number: of the signal.
        kept: what is kept of the work so far, if anything.

    Attributes:
        status: exit status of the process, as shells report it: 143 after SIGTERM, 129 after SIGHUP.
    """

    def __init__(self, number: int, kept: str = "") -> None:
        self.number, self.status = number, 128 + number
        super().__init__(f"terminated by {signal.Signals(number).name}{'; ' if kept else ''}{kept}")


def _raise(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)


@contextlib.contextmanager
def termination_raises() -> Iterator[None]:
    """Raise `Terminated` inside the block for a signal that would end the process; others are left as they are.

    A signal that is ignored, as SIGHUP under nohup, or that the user handles stays so. Only the main thread can receive
    signals; in another one the block changes nothing.
    """
    main = threading.current_thread() is threading.main_thread()
    taken = [number for number in _SIGNALS if main and signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


class Ending:
    """A signal that ends the process waits until the work can be left: at `check`, or inside `at_once`.

    It replaces `termination_raises` from `begin` on. Further signals change nothing: a terminal may send several.
    """

    def __init__(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS if main}
        self._number: int | None = None
        self._at_once = False

    @property
    def due(self) -> bool:
        """Whether a signal has come."""
        return self._number is not None

    def begin(self) -> None:
        """Receive the signals; those that the user handles are handled as when this object was made."""
        for number, handler in self._handlers.items():
            if handler is not None:  # None: of another language, which Python cannot set
                signal.signal(number, self._receive if handler is _raise else handler)

    def check(self) -> None:
        """Raise `Terminated` if a signal has come."""
        if self._number is not None:
            raise Terminated(self._number)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise `Terminated` for a signal that arrives inside the block or arrived before it."""
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.due:
            return
        self._number = number
        if self._at_once:
            raise Terminated(number)
