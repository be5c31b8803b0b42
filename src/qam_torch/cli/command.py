"""What all commands share: an argument parser, and how a command ends."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from qam_torch.types import QamError

__all__ = ["Parser", "run_command"]


class Parser(argparse.ArgumentParser):
    """An argument parser that raises QamError for wrong arguments instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise QamError; called by argparse."""
        raise QamError(f"{message}: see `{self.prog} --help`")


def run_command(name: str, command: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Run a command and print its error, if any, in one line on standard error.

    Args:
        name: of the command.
        command: does the work and returns the exit status.
        interrupted: printed after Ctrl-C.

    Returns:
        Exit status: that of the command, 1 after QamError or OSError, 130 after Ctrl-C.
    """
    try:
        return command()
    except (QamError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: {interrupted}", file=sys.stderr)
        return 130
