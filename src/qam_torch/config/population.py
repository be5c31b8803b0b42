"""The members that a configuration asks for: every seed once for each cell of the grid that `population` spans."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.signatures import per_member_arguments
from qam_torch.types import QamError, require

__all__ = ["check_population", "own_seeds", "seeds_of", "with_population"]


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
    for name in per_member_arguments(kind):
        if len(cells) > 1 and isinstance(taken.get(name), list):
            fits = len(taken[name]) == len(seeds)
            require(f"algo.{name}", fits, taken[name], f"one number, or one for each of {len(seeds)} seeds")
            taken[name] = taken[name] * len(cells)
    return {**taken, **{str(name): [cell[name] for cell in cells for _ in seeds] for name in config.population}}


def check_population(config: DictConfig, kind: type[Algorithm]) -> None:
    """Raise QamError unless seeds differ, and `population` gives lists of different numbers that may differ."""
    seeds, known = own_seeds(config), per_member_arguments(kind)
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
