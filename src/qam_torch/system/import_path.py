"""Modules of the user, beside which a command is run."""

from __future__ import annotations

import os
import sys

__all__ = ["include_working_directory"]


def include_working_directory() -> None:
    """Let a command import modules from its working directory, as `python -m` does; installed packages come first."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())
