"""Set environment variables that torch reads at import. The commands call this before they import torch."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import MutableMapping

__all__ = ["prepare_environment"]

SPINS = 2000
"""Number of rounds that an OpenMP thread waits for its next operation before it sleeps: about 0.1 ms."""


def prepare_environment(variables: MutableMapping[str, str] = os.environ) -> None:
    """Limit how long waiting threads keep a core busy, and unset a compiler cache directory that cannot be used.

    OpenMP threads wait for each other after every operation. By default, they keep their cores busy for up to 300,000
    rounds. Other processes that need these cores are then slower. Wait settings of the user are not changed.

    Args:
        variables: environment variables of this process, which its child processes inherit.
    """
    if "OMP_WAIT_POLICY" not in variables:
        variables.setdefault("GOMP_SPINCOUNT", str(SPINS))  # GNU OpenMP, on Linux
        variables.setdefault("KMP_BLOCKTIME", "1")  # LLVM and Intel OpenMP, in milliseconds
    name = "TORCHINDUCTOR_CACHE_DIR"
    if name not in variables:
        return
    try:
        os.makedirs(variables[name], exist_ok=True)
    except OSError as error:  # with this directory, importing torch would fail
        with contextlib.suppress(OSError):
            line = f"{name}={variables[name]} cannot be made ({error.strerror}): using torch's own directory"
            print(line, file=sys.stderr, flush=True)
        del variables[name]
