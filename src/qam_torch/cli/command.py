"""What all commands share: the argument parser, and the one place where every command ends."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import select
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from qam_torch.system.before_torch import prepare_environment
from qam_torch.system.errors import sentence_of
from qam_torch.system.signals import Terminated, termination_raises
from qam_torch.system.streams import drop, standard_streams
from qam_torch.types import QamError

__all__ = ["ListOf", "Parser", "run_command"]

INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells report it."""

RENAMED_OPTIONS = {"--preset": "--size"}
"""Option of an earlier version -> its present name."""


class Parser(argparse.ArgumentParser):
    """The argument parser of every command except `qam-train`.

    It raises QamError for wrong arguments, names the nearest option for an unknown one, and prints descriptions with
    their own line breaks. Options whose value is a list use `action=ListOf`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        """Raise QamError; called by argparse."""
        unknown = message.removeprefix("unrecognized arguments: ").split()
        known = [option for parser in (self, *self._verbs()) for option in parser._option_string_actions]
        given = unknown[0].partition("=")[0]
        near = difflib.get_close_matches(RENAMED_OPTIONS.get(given, given), known, n=1)
        if message.startswith("unrecognized arguments: -") and near:
            message += f", did you mean {near[0]}"
        raise QamError(f"{message}: see `{self.prog} --help`")

    def _verbs(self) -> list[argparse.ArgumentParser]:
        """The parsers of subcommands."""
        return [one for action in self._actions for one in (getattr(action, "_name_parser_map", None) or {}).values()]


class ListOf(argparse.Action):
    """A list of words that are separated by spaces or commas: `--algo qam fql` or `--algo qam,fql`.

    Args:
        option_strings: as argparse passes them.
        dest: name of the value.
        kind: converts one word; raises ValueError for a wrong one.
        options: other arguments of `add_argument`.
    """

    def __init__(self, option_strings: Sequence[str], dest: str, kind: Callable[[str], Any] = str, **options: Any):
        super().__init__(option_strings, dest, **{"nargs": "+", **options})
        self.kind = kind

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Set the list; called by argparse."""
        words = [one for word in values for one in word.split(",") if one]
        try:
            found = [self.kind(word) for word in words]
        except ValueError:
            parser.error(f"argument {option or self.metavar}: invalid value '{' '.join(values)}'")
        if not found:
            parser.error(f"argument {option or self.metavar}: expected at least one value")
        setattr(namespace, self.dest, found)


def run_command(
    name: str,
    command: Callable[[], int],
    *,
    again: str = "",
    memory: str = "use a smaller size",
    outlives_reader: bool = False,
) -> int:
    """Run a command; every ending, except for a mistake in the library itself, is an exit status and one line.

    Args:
        name: of the command.
        command: does the work and returns the exit status.
        again: printed after "interrupted" or "terminated by SIGTERM", such as "the same command continues".
        memory: advice after a full memory.
        outlives_reader: whether the command continues when its output cannot be written any more, as after `| head`;
            otherwise it ends with status 1, silently where the reader has ended.

    Returns:
        Exit status: that of the command or of SystemExit, 1 after an error, 130 after Ctrl-C, 143 after SIGTERM, 129
        after SIGHUP.
    """
    with standard_streams(lasting=outlives_reader), termination_raises():
        prepare_environment()
        try:
            status = command()
            sys.stdout.flush()
            return status
        except SystemExit as ended:  # of argparse's --help, and of a command within the command
            if ended.code is not None and not isinstance(ended.code, int):
                _complain(str(ended.code))
                return _flushed(1)
            return _flushed(ended.code or 0)
        except KeyboardInterrupt as error:
            terminated = isinstance(error, Terminated)
            _complain(f"{name}: {error if terminated else 'interrupted'}{'; ' if again else ''}{again}")
            return _flushed(error.status if isinstance(error, Terminated) else INTERRUPTED)
        except Exception as error:
            sentence = sentence_of(error, memory)
            if sentence is None:
                raise
            if not (isinstance(error, BrokenPipeError) and _reader_has_ended()):
                _complain(f"{name}: {sentence}")
            return _flushed(1)


def _complain(line: str) -> None:
    """Print a line on standard error, unless nothing reads it."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _flushed(status: int) -> int:
    """The status, after what is left of the output was written or dropped; otherwise Python would fail at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        drop(sys.stdout)
        return status or 1
    return status


def _reader_has_ended() -> bool:
    """Whether a broken pipe is that of standard output, and not one to another process; drops its output then."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            drop(sys.stdout)
            return True
    return False
