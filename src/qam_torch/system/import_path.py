"""Import the user's modules from the working directory of a command."""

from __future__ import annotations

import os
import sys

__all__ = ["include_working_directory"]


def include_working_directory() -> None:
    """Let a command import modules from its working directory, as with `python -m`, but after installed packages."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())
