"""Import classes and functions by the path given in a configuration or a checkpoint."""

from __future__ import annotations

import importlib
from typing import Any

from qam_torch.types import QamError

__all__ = ["imported"]


def imported(path: str, described_as: str) -> Any:
    """Import the object at a path, e.g. a class or a function.

    Args:
        path: import path of the object, e.g. "my_module.MyClass".
        described_as: description of the object for the error message.

    Raises:
        QamError: the object does not exist, or its module cannot be imported.
    """
    module, _, name = path.rpartition(".")
    try:
        if not module or module.startswith("."):
            raise ImportError("expected MODULE.NAME")
        found = importlib.import_module(module)
        if not hasattr(found, name):
            raise ImportError(f"module '{module}' has no attribute '{name}'")
    except ImportError as error:
        raise QamError(
            f"{described_as} cannot be found ({error}): run the command in the directory of its module, or install "
            "its package"
        ) from None
    return getattr(found, name)
