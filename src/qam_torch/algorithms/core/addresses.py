"""The members of a population, and how to find a member by its address.

This module imports neither Hydra nor omegaconf, so that a policy can be loaded without them.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from qam_torch.algorithms.core.algorithm import Algorithm
from qam_torch.algorithms.core.members import address_of
from qam_torch.algorithms.core.signatures import PER_MEMBER, annotations_of
from qam_torch.types import QamError, require

__all__ = ["Member", "find_member", "members_of"]


class Member(NamedTuple):
    """A member of a population.

    Attributes:
        seed: seed of all random numbers of the member.
        values: hyperparameters that differ between members, by name.
    """

    seed: int
    values: dict[str, float]

    @property
    def name(self) -> str:
        """The member's address, e.g. "seed=2,inv_temp=3"."""
        return address_of(self.as_dict())

    @property
    def cell(self) -> str:
        """The address without the seed. All members of one grid cell share it. It may be empty."""
        return address_of(self.values)

    def as_dict(self) -> dict[str, float]:
        """Return the seed and the hyperparameters by name."""
        return {"seed": self.seed, **self.values}


def members_of(kind: type[Algorithm], arguments: Mapping[str, Any]) -> list[Member]:
    """List the members of an algorithm in population order.

    Args:
        kind: class of the algorithm.
        arguments: constructor arguments of the algorithm, e.g. from a checkpoint.
    """
    given = {name: arguments.get(name) for name, note in annotations_of(kind).items() if note == PER_MEMBER}
    lists = {name: values for name, values in given.items() if isinstance(values, (list, tuple))}
    seeds = enumerate(arguments["seeds"])
    return [Member(seed, {name: float(values[p]) for name, values in lists.items()}) for p, seed in seeds]


def find_member(members: Sequence[Member], member: int | str | None, address: Mapping[str, float] | None = None) -> int:
    """Find the index of one member.

    Args:
        members: members of a checkpoint.
        member: index of the member, or its address, e.g. "seed=2,inv_temp=3". Any part of an address that matches
            exactly one member is enough. None selects by `address` alone.
        address: seed and hyperparameters by name. The member must match all of them, even if `member` is an index.

    Raises:
        QamError: no member or more than one member matches, or an argument is invalid. If the members do not match, the
            message lists their addresses.
    """
    wanted = _checked_address({**_parse_address(member), **(address or {})})
    index = int(member) if isinstance(member, numbers.Integral) and not isinstance(member, bool) else None
    if index is not None and not 0 <= index < len(members):
        raise QamError(
            f"member={member} is not in the checkpoint: expected 0 to {len(members) - 1} ({_names(members)})"
        )
    if index is None and member is not None and not isinstance(member, str):
        raise QamError(f"got member={member!r}: expected an integer, or an address such as 'seed=2,inv_temp=3'")
    given = " and ".join([*([] if index is None else [f"member={member}"]), *([address_of(wanted)] if wanted else [])])
    for name in wanted:
        if name not in members[0].as_dict():
            raise QamError(f"members do not differ in {name}: expected {', '.join(members[0].as_dict())}")
    found = [
        p for p in (range(len(members)) if index is None else [index]) if wanted.items() <= members[p].as_dict().items()
    ]
    if len(found) == 1:
        return found[0]
    if found:
        several = _names([members[p] for p in found])
        raise QamError(f"got {given or 'no address'}, which matches {len(found)} members: expected one of {several}")
    raise QamError(f"got {given}, which no member has: expected one of {_names(members)}")


def _parse_address(member: object) -> dict[str, float]:
    """Parse an address, e.g. "seed=2,inv_temp=3", into numbers by name. The result is empty for other types."""
    wanted: dict[str, float] = {}
    for part in member.split(",") if isinstance(member, str) else ():
        name, _, value = (word.strip() for word in part.partition("="))
        if name in wanted:
            raise QamError(f"member={member} names {name} twice: give it once")
        try:
            wanted[name] = int(value) if value.lstrip("+-").isdecimal() else float(value)
        except ValueError:
            raise QamError(
                f"member={member} is not an address: expected e.g. seed=2,inv_temp=3, or an integer"
            ) from None
    return wanted


def _checked_address(address: Mapping[str, Any]) -> dict[str, float]:
    """Convert the values of an address to int or float. Raise QamError if a value is not a number."""
    for name, value in address.items():
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        require(name, real, repr(value), "a number")
    return {
        name: int(value) if isinstance(value, numbers.Integral) else float(value) for name, value in address.items()
    }


def _names(members: Sequence[Member]) -> str:
    return "; ".join(member.name for member in members)
