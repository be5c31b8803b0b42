"""Environment variables that torch reads when it is imported, which the commands therefore set before."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import MutableMapping

__all__ = ["prepare_environment"]

SPINS = 2000
"""Rounds in which a thread of OpenMP waits for its next operation before it sleeps: about a tenth of a millisecond."""


def prepare_environment(variables: MutableMapping[str, str] = os.environ) -> None:
    """Bound the time that waiting threads keep a core busy, and drop a directory that the compiler cannot use.

    Threads of OpenMP wait for each other after every operation. By default they do that for up to 300,000 rounds, which
    keeps a thread from its core where another process needs one, too. What the user has set stays.

    Args:
        variables: environment variables of this process and its child processes.
    """
    if "OMP_WAIT_POLICY" not in variables:
        variables.setdefault("GOMP_SPINCOUNT", str(SPINS))  # GNU's OpenMP, on Linux
        variables.setdefault("KMP_BLOCKTIME", "1")  # LLVM's and Intel's: milliseconds
    name = "TORCHINDUCTOR_CACHE_DIR"
    if name not in variables:
        return
    try:
        os.makedirs(variables[name], exist_ok=True)
    except OSError as error:  # torch could not even be imported
        with contextlib.suppress(OSError):
            line = f"{name}={variables[name]} cannot be made ({error.strerror}): using torch's own directory"
            print(line, file=sys.stderr, flush=True)
        del variables[name]
