"""Methods by name, as in configurations and checkpoints, and the import of their classes.

Imports torch only when a method is looked up, so that commands start fast.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from qam_torch.imports import imported
from qam_torch.types import QamError, require

if TYPE_CHECKING:
    from qam_torch.algorithms.core.algorithm import Algorithm

__all__ = ["method_name", "find_method", "instantiate_class"]

_LIBRARY = "qam_torch.algorithms"

Object = TypeVar("Object")


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

    kind = imported(name if "." in name else f"{_LIBRARY}.{name}", described_as)
    if not (isinstance(kind, type) and issubclass(kind, Algorithm)):
        raise QamError(f"{described_as} is not a method: expected a subclass of qam_torch.algorithms.Algorithm")
    return kind


def instantiate_class(description: Any, key: str, base: type[Object]) -> Object:
    """Make the object that a configuration or a checkpoint describes.

    Nothing is called before it is known to be a class of the expected kind, because a checkpoint may be from anyone.

    Args:
        description: its class as `_target_`, and the constructor's arguments.
        key: key of the configuration, e.g. "algo.discretization".
        base: the class of which it must be a subclass.

    Raises:
        QamError: the description is not of that form, the class cannot be imported or is not a subclass, or its
            constructor does not take the arguments.
    """
    group, option = key.replace(".", "/"), description if isinstance(description, str) else "NAME"
    described = isinstance(description, Mapping) and isinstance(description.get("_target_"), str)
    require(key, described, description, f"keys with a _target_; {group}={option} chooses a config")
    arguments = dict(description)
    target = arguments.pop("_target_")
    kind = imported(target, f"{key}._target_={target}")
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise QamError(f"{key}._target_={target} is not a subclass of {base.__name__}: give one, or {group}=NAME")
    try:
        return kind(**arguments)
    except QamError:
        raise
    except (TypeError, ValueError) as error:
        raise QamError(
            f"{key} of class {target} cannot be created ({error}): give the arguments of its constructor"
        ) from None
