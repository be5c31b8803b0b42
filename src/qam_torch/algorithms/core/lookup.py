"""Find and import the classes that configurations and checkpoints name.

This module imports torch only when a method is looked up, so that commands start fast.
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
    """Return a method's name in checkpoints: "QAM" for a method of this library, otherwise "my_module.MyMethod"."""
    known = getattr(importlib.import_module(_LIBRARY), kind.__name__, None) is kind
    return kind.__name__ if known else f"{kind.__module__}.{kind.__qualname__}"


def find_method(name: str, described_as: str) -> type[Algorithm]:
    """Find the class of a method.

    Args:
        name: name that `method_name` returns, or any other import path of the class.
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
    """Create the object that a configuration or a checkpoint describes.

    A checkpoint may come from an untrusted source. Therefore nothing is called unless it is a subclass of `base`.

    Args:
        description: class of the object as `_target_`, and the constructor's arguments.
        key: key of the configuration, e.g. "algo.discretization".
        base: expected base class.

    Raises:
        QamError: the description has no `_target_`, the class cannot be imported or is not a subclass of `base`, or its
            constructor rejects the arguments.
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
