"""The members of a run, every seed once for each cell of the grid that `population` spans; and addressing one of them.

Does not import Hydra or omegaconf, so that a policy is loaded without them.
"""

from __future__ import annotations

import itertools
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.members import address_of
from qam_torch.algorithms.core.signatures import PER_MEMBER, annotations_of
from qam_torch.types import QamError, require

if TYPE_CHECKING:
    from omegaconf import DictConfig

__all__ = [
    "Member",
    "check_population",
    "find_member",
    "members_of",
    "own_seeds",
    "seeds_of",
    "told_seeds",
    "with_population",
]


class Member(NamedTuple):
    """A member of a population: its seed, and those of its numbers that were given for each member."""

    seed: int
    values: dict[str, float]

    @property
    def name(self) -> str:
        """E.g. "seed=2,inv_temp=3": its address."""
        return address_of(self.as_dict())

    @property
    def cell(self) -> str:
        """The same without the seed, what members of one cell of the grid have in common; may be empty."""
        return address_of(self.values)

    def as_dict(self) -> dict[str, float]:
        """seed -> .., and the numbers by name."""
        return {"seed": self.seed, **self.values}


# What a configuration asks for


def may_differ(kind: type[Algorithm]) -> list[str]:
    """The arguments of a method that may differ between members."""
    return sorted(name for name, annotation in annotations_of(kind).items() if annotation == PER_MEMBER)


def own_seeds(config: DictConfig) -> tuple[int, ...]:
    """The seeds as they are given, without the grid."""
    return (config.seed,) if config.seeds is None else tuple(config.seeds)


def cells_of(config: DictConfig) -> list[dict[str, float]]:
    """The grid's cells, the last key's number changing fastest; one without numbers where there is no grid."""
    keys = [str(key) for key in config.population]
    return [dict(zip(keys, cell, strict=True)) for cell in itertools.product(*(config.population[key] for key in keys))]


def seeds_of(config: DictConfig) -> tuple[int, ...]:
    """One seed a member: all seeds of the first cell, then those of the next."""
    return own_seeds(config) * len(cells_of(config))


def with_population(config: DictConfig, options: Mapping[str, Any], kind: type[Algorithm]) -> dict[str, Any]:
    """A method's options as its constructor takes them, with `seeds`, and lists of P for what differs.

    options  of the configuration; a list of what may differ gives one a seed, in every cell alike
    """
    cells, seeds = cells_of(config), own_seeds(config)
    taken = {"seeds": list(seeds_of(config)), **options}
    for name in may_differ(kind):
        if len(cells) > 1 and isinstance(taken.get(name), list):
            fits = len(taken[name]) == len(seeds)
            require(f"algo.{name}", fits, taken[name], f"one number, or one for each of {len(seeds)} seeds")
            taken[name] = taken[name] * len(cells)
    return {**taken, **{str(name): [cell[name] for cell in cells for _ in seeds] for name in config.population}}


def check_population(config: DictConfig, kind: type[Algorithm]) -> None:
    """Raise QamError unless seeds differ, and `population` gives lists of different numbers that may differ."""
    seeds, known = own_seeds(config), may_differ(kind)
    require("seeds", len(seeds) > 0 and len(set(seeds)) == len(seeds), list(seeds), "at least one seed, all different")
    for name, value in config.population.items():
        if name not in known:
            other = f", or make a run for each value (-m algo.{name}=..)" if name in config.algo else ""
            raise QamError(
                f"population.{name} is nothing that members of algo={config.algo_name} may differ in: choose from "
                f"{', '.join(known)}{other}"
            )
        listed = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
        fits = all(isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one) for one in listed)
        distinct = bool(listed) and fits and len(set(listed)) == len(listed)
        require(f"population.{name}", distinct, value, "a list of different numbers, such as [0.3,1,3]")
        if not isinstance(config.algo.get(name), (int, float)) and config.algo.get(name) is not None:
            raise QamError(
                f"algo.{name}={config.algo[name]} and population.{name}={value} both say what members have: give one"
            )


# What a checkpoint holds


def members_of(kind: type[Algorithm], arguments: Mapping[str, Any]) -> list[Member]:
    """The members of an algorithm, in their order.

    arguments  the constructor's, as `with_population` gives them and a checkpoint holds them
    """
    given = {name: arguments.get(name) for name, note in annotations_of(kind).items() if note == PER_MEMBER}
    lists = {name: values for name, values in given.items() if isinstance(values, (list, tuple))}
    seeds = enumerate(arguments["seeds"])
    return [Member(seed, {name: float(values[p]) for name, values in lists.items()}) for p, seed in seeds]


def told_seeds(algorithm: Algorithm) -> str:
    """ "1, 2"; and of a grid "1, 2 in each of 6 cells of inv_temp x edit_scale"."""
    seeds = ", ".join(map(str, dict.fromkeys(algorithm.seeds)))
    count = len(set(algorithm.seeds))
    cells = algorithm.members // count
    grid = [name for name, values in algorithm.own_values.items() if len(set(values[:count])) == 1]  # not one a seed
    return f"{seeds} in each of {cells} cells of {' x '.join(grid)}" if cells > 1 else seeds


def find_member(members: Sequence[Member], member: int | str | None, address: Mapping[str, float] | None = None) -> int:
    """The index of the one member that is meant.

    members  of a checkpoint
    member   its index, or its name "seed=2,inv_temp=3", of which as much as tells it apart; or None
    address  seed and numbers by name, all of which it has to have, the one of that index too

    Raises QamError, with the members' names, when there is none of that address, or more than one; and for what is
    neither.
    """
    wanted = _numbers({**_read(member), **(address or {})})
    index = int(member) if isinstance(member, numbers.Integral) and not isinstance(member, bool) else None
    if index is not None and not 0 <= index < len(members):
        raise QamError(f"member={member} is not in the checkpoint: expected 0 to {len(members) - 1} ({_all(members)})")
    if index is None and member is not None and not isinstance(member, str):
        raise QamError(f"got member={member!r}: expected an integer, or an address such as 'seed=2,inv_temp=3'")
    told = " and ".join([*([] if index is None else [f"member={member}"]), *([address_of(wanted)] if wanted else [])])
    for name in wanted:
        if name not in members[0].as_dict():
            raise QamError(f"the members have no {name} of their own: expected {', '.join(members[0].as_dict())}")
    found = [
        p for p in (range(len(members)) if index is None else [index]) if wanted.items() <= members[p].as_dict().items()
    ]
    if len(found) == 1:
        return found[0]
    if found:
        several = _all([members[p] for p in found])
        raise QamError(f"got {told or 'no address'}, which is true of {len(found)} members: say which of {several}")
    raise QamError(f"got {told}, which no member has: expected one of {_all(members)}")


def _read(member: object) -> dict[str, float]:
    """ "seed=2,inv_temp=3" as numbers by name; what is no text says nothing."""
    wanted: dict[str, float] = {}
    for part in member.split(",") if isinstance(member, str) else ():
        name, _, value = (word.strip() for word in part.partition("="))
        if name in wanted:
            raise QamError(f"member={member} names {name} twice: give it once")
        try:
            wanted[name] = int(value) if value.lstrip("+-").isdecimal() else float(value)
        except ValueError:
            raise QamError(
                f"member={member} is no address: expected such as seed=2,inv_temp=3, or an integer as a number"
            ) from None
    return wanted


def _numbers(address: Mapping[str, Any]) -> dict[str, float]:
    """The same, if it is numbers by name."""
    for name, value in address.items():
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        require(name, real, repr(value), "a number, as the members have")
    return {
        name: int(value) if isinstance(value, numbers.Integral) else float(value) for name, value in address.items()
    }


def _all(members: Sequence[Member]) -> str:
    return "; ".join(member.name for member in members)
