"""Methods by name, as in configurations and checkpoints, and the import of their classes.

Imports torch only when a method is looked up, so that commands start fast.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qam_torch.types import QamError

if TYPE_CHECKING:
    from qam_torch.algorithms.core.algorithm import Algorithm

__all__ = ["method_name", "find_method", "instantiate_class"]

_LIBRARY = "qam_torch.algorithms"


def method_name(kind: type[Algorithm]) -> str:
    """Name of a method in checkpoints: "QAM" for one of the library's, "my_module.MyMethod" for any other."""
    known = getattr(importlib.import_module(_LIBRARY), kind.__name__, None) is kind
    return kind.__name__ if known else f"{kind.__module__}.{kind.__qualname__}"


def find_method(name: str, described_as: str) -> type[Algorithm]:
    """Find the class of a method.

    Args:
        name: from `method_name`, or any other import path of the class.
        described_as: how an error message refers to the method.

    Raises:
        QamError: the class cannot be imported, or is not an Algorithm.
    """
    from qam_torch.algorithms.core.algorithm import Algorithm

    module, _, leaf = name.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module or _LIBRARY), leaf)
    except (ImportError, AttributeError, ValueError) as error:
        raise QamError(
            f"{described_as} cannot be found ({error}): run the command in the directory of its module, or install "
            "its package"
        ) from None
    if not (isinstance(kind, type) and issubclass(kind, Algorithm)):
        raise QamError(f"{described_as} is not a method: expected a subclass of qam_torch.algorithms.Algorithm")
    return kind


def instantiate_class(description: Mapping[str, Any], described_as: str) -> Any:
    """Make the object that a configuration or a checkpoint describes.

    Args:
        description: its class as `_target_`, and the constructor's arguments.
        described_as: how an error message refers to it, e.g. "algo.discretization".

    Raises:
        QamError: the class cannot be imported, or its constructor does not take the arguments.
    """
    arguments = dict(description)
    target = str(arguments.pop("_target_", ""))
    module, _, leaf = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), leaf)(**arguments)
    except QamError:
        raise
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise QamError(
            f"{described_as} of class {target} cannot be created ({error}): expected an importable class "
            "and arguments of its constructor"
        ) from None
