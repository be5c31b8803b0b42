"""What all commands share: the argument parser, and the conversion of errors to exit statuses."""

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
"""Name in an earlier version -> present name."""


class Parser(argparse.ArgumentParser):
    """The argument parser of every command except `qam-train`.

    It raises QamError for wrong arguments, suggests the nearest option for an unknown one, and keeps the line breaks of
    descriptions. For an option with a list of values, use `action=ListOf`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"formatter_class": argparse.RawDescriptionHelpFormatter, **options})

    def error(self, message: str) -> NoReturn:
        """Raise QamError; called by argparse."""
        unknown = message.removeprefix("unrecognized arguments: ").split()
        known = [option for parser in (self, *self._subcommand_parsers()) for option in parser._option_string_actions]
        given = unknown[0].partition("=")[0]
        near = difflib.get_close_matches(RENAMED_OPTIONS.get(given, given), known, n=1)
        if message.startswith("unrecognized arguments: -") and near:
            message += f", did you mean {near[0]}"
        raise QamError(f"{message}: see `{self.prog} --help`")

    def _subcommand_parsers(self) -> list[argparse.ArgumentParser]:
        """The parsers of subcommands."""
        return [one for action in self._actions for one in (getattr(action, "_name_parser_map", None) or {}).values()]


class ListOf(argparse.Action):
    """An option with a list of values, separated by spaces or commas: `--algo qam fql` or `--algo qam,fql`.

    Args:
        option_strings: as argparse passes them.
        dest: attribute of the namespace that gets the list.
        kind: converts one value from text; raises ValueError if it is invalid.
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
            converted = [self.kind(word) for word in words]
        except ValueError:
            parser.error(f"argument {option or self.metavar}: invalid value '{' '.join(values)}'")
        if not converted:
            parser.error(f"argument {option or self.metavar}: expected at least one value")
        setattr(namespace, self.dest, converted)


def run_command(
    name: str,
    command: Callable[[], int],
    *,
    resume_hint: str = "",
    memory_hint: str = "use a smaller size",
    outlives_reader: bool = False,
) -> int:
    """Run a command and turn exceptions into an exit status and one line on standard error.

    Only unexpected exceptions, which are bugs in the library, are raised.

    Args:
        name: name of the command.
        command: does the work and returns the exit status.
        resume_hint: printed after "interrupted" or "terminated by SIGTERM", such as "the same command continues".
        memory_hint: advice that is printed if memory runs out.
        outlives_reader: whether the command continues when its output can no longer be written, as after `| head`.
            Otherwise it ends with status 1, silently if the process that read the output has ended.

    Returns:
        Exit status: that of the command or of SystemExit; 1 after an error, 130 after Ctrl-C, 143 after SIGTERM, 129
        after SIGHUP.
    """
    with standard_streams(lasting=outlives_reader), termination_raises():
        prepare_environment()
        try:
            status = command()
            sys.stdout.flush()
            return status
        except SystemExit as ended:  # raised by argparse after --help, and by nested commands
            if ended.code is not None and not isinstance(ended.code, int):
                _print_error(str(ended.code))
                return _flush_then_return(1)
            return _flush_then_return(ended.code or 0)
        except KeyboardInterrupt as error:
            terminated = isinstance(error, Terminated)
            _print_error(f"{name}: {error if terminated else 'interrupted'}{'; ' if resume_hint else ''}{resume_hint}")
            return _flush_then_return(error.status if isinstance(error, Terminated) else INTERRUPTED)
        except Exception as error:
            sentence = sentence_of(error, memory_hint)
            if sentence is None:
                raise
            if not (isinstance(error, BrokenPipeError) and _reader_has_ended()):
                _print_error(f"{name}: {sentence}")
            return _flush_then_return(1)


def _print_error(line: str) -> None:
    """Print a line on standard error; ignore a closed stream."""
    with contextlib.suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def _flush_then_return(status: int) -> int:
    """Write the remaining output, or drop it if that fails, and return the status.

    Otherwise Python itself would report an error at exit.
    """
    try:
        sys.stdout.flush()
    except OSError:
        drop(sys.stdout)
        return status or 1
    return status


def _reader_has_ended() -> bool:
    """Whether standard output is the broken pipe, not a pipe to another process. If so, its output is dropped."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            drop(sys.stdout)
            return True
    return False
