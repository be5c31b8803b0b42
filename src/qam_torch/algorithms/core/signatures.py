"""Read the constructor arguments of a method, including those of its base classes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping

from qam_torch.algorithms.core.algorithm import Algorithm

__all__ = ["PER_MEMBER", "annotations_of", "arguments_of_member", "per_member_arguments"]

PER_MEMBER = "float | Sequence[float]"
"""Annotation of an argument that takes one number for all members or one number per member."""


def annotations_of(kind: type[Algorithm]) -> dict[str, str]:
    """Return the annotation of each constructor argument by name, base classes first."""
    taken: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if "__init__" in vars(base) and issubclass(base, Algorithm):
            parameters = inspect.signature(base.__init__).parameters.values()
            taken |= {one.name: _as_written(one.annotation) for one in parameters}
    return taken


def _as_written(annotation: object) -> str:
    """Return an annotation as the string that `from __future__ import annotations` gives."""
    if isinstance(annotation, type):
        return annotation.__name__
    return re.sub(r"\b(?:collections\.abc|typing)\.", "", str(annotation))


def arguments_of_member(kind: type[Algorithm], arguments: Mapping[str, object], member: int) -> dict[str, object]:
    """Return the constructor arguments that create one member of a population as a population of one.

    Args:
        kind: class of the method.
        arguments: constructor arguments of the population, including `seeds`.
        member: index of the member, 0 <= member < P.
    """
    per_member = per_member_arguments(kind)
    alone = dict(arguments)
    for name, value in arguments.items():
        if name == "seeds" and isinstance(value, (list, tuple)):
            alone[name] = [value[member]]
        elif name in per_member and isinstance(value, (list, tuple)):
            alone[name] = value[member]
    return alone


def per_member_arguments(kind: type[Algorithm]) -> list[str]:
    """Return the names of a method's arguments that may differ between members, sorted."""
    return sorted(name for name, annotation in annotations_of(kind).items() if annotation == PER_MEMBER)
