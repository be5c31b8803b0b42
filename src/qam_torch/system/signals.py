"""Handle signals that end a process: SIGTERM, e.g. from a scheduler, and SIGHUP, from a closed terminal."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["Ending", "Terminated", "termination_raises"]

_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # Windows has no SIGHUP


class Terminated(KeyboardInterrupt):
    """A signal requests the end of the process. It is a KeyboardInterrupt, so cleanup is the same as after Ctrl-C.

    Args:
        number: number of the signal.
        kept: text about the saved work, for the message.

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
    """Context in which a signal that would end the process raises `Terminated`.

    Signals that are ignored, like SIGHUP under nohup, or that the user handles are not changed. Only the main thread
    can receive signals. In other threads this context has no effect.
    """
    main = threading.current_thread() is threading.main_thread()
    replaced = [number for number in _SIGNALS if main and signal.getsignal(number) is signal.SIG_DFL]
    for number in replaced:
        signal.signal(number, _raise)
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)


class Ending:
    """Delays the end of the process until the work can be interrupted: at `check`, or inside `at_once`.

    From `begin` on it replaces `termination_raises`. Only the first signal counts, because a terminal may send several.
    """

    def __init__(self) -> None:
        main = threading.current_thread() is threading.main_thread()
        self._handlers = {number: signal.getsignal(number) for number in _SIGNALS if main}
        self._number: int | None = None
        self._at_once = False

    @property
    def due(self) -> bool:
        """Whether a signal has arrived."""
        return self._number is not None

    def begin(self) -> None:
        """Start to receive signals. Handlers of the user, as of the creation of this object, are restored."""
        for number, handler in self._handlers.items():
            if handler is not None:  # None: a handler not set by Python, which Python cannot restore
                signal.signal(number, self._receive if handler is _raise else handler)

    def check(self) -> None:
        """Raise `Terminated` if a signal has arrived."""
        if self._number is not None:
            raise Terminated(self._number)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Context in which a signal raises `Terminated` immediately; also one that arrived before."""
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
