"""Methods of the user's own: where their code is found, and what configs and checkpoints call them.

Does not import torch before it is asked for a method, so that a command understands its words at once.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING

from qam_torch.types import QamError

if TYPE_CHECKING:
    from qam_torch.algorithms import Algorithm

__all__ = ["add_working_directory_to_path", "method_named", "name_of"]


def add_working_directory_to_path() -> None:
    """Append the working directory to `sys.path`, as `python -m` does; installed modules keep precedence."""
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())


def name_of(kind: type[Algorithm]) -> str:
    """What a checkpoint calls a method: QAM if it is one of the library's, else my_module.MyMethod."""
    import qam_torch.algorithms

    known = getattr(qam_torch.algorithms, kind.__name__, None) is kind
    return kind.__name__ if known else f"{kind.__module__}.{kind.__qualname__}"


def method_named(name: str, said: str) -> type[Algorithm]:
    """The method of a name that `name_of` gives, or of any other path by which it can be imported.

    said  how a message is to call it

    Raises QamError when there is none.
    """
    from qam_torch.algorithms import Algorithm

    module, _, leaf = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module or "qam_torch.algorithms"), leaf)
    except (ImportError, AttributeError, ValueError) as error:
        raise QamError(
            f"{said} cannot be found ({error}): run the command in the directory of its module, or install its package"
        ) from None
    if not (isinstance(kind, type) and issubclass(kind, Algorithm)):
        raise QamError(f"{said} is no method: expected a subclass of qam_torch.algorithms.Algorithm")
    return kind
