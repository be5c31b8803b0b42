"""The configured method: class, options and members. Each seed has one member per cell of the grid `population`."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from qam_torch.algorithms import Algorithm
from qam_torch.algorithms.core.signatures import PER_MEMBER, annotations_of, per_member_arguments
from qam_torch.types import QamError, is_integer, is_number, require

__all__ = ["Method"]


class Method(NamedTuple):
    """A configured method, before the environment determines its sizes.

    Attributes:
        name: name in the configuration, e.g. "qam_e".
        kind: class of the method.
        options: the keys `algo.*` except `_target_`, as plain values.
        seeds: the configured seeds, not repeated for the cells of the grid.
        population: the keys `population.*`. The product of their values is the grid. Empty without a grid.
    """

    name: str
    kind: type[Algorithm]
    options: Mapping[str, Any]
    seeds: Sequence[int]
    population: Mapping[str, Sequence[float]]

    @property
    def cells(self) -> list[tuple[float, ...]]:
        """Cells of the grid. The value of the last key changes fastest. Without a grid, one cell without values."""
        return list(itertools.product(*self.population.values()))

    @property
    def members(self) -> int:
        """Number of members, P."""
        return len(self.seeds) * len(self.cells)

    @property
    def chunk_steps(self) -> int:
        """Number of actions that one call of the policy selects: h, or 1 in n-step mode."""
        return self.options["horizon_length"] if self.options.get("action_chunking", True) else 1

    @property
    def hidden_widths(self) -> list[int]:
        """Widths of all hidden layers."""
        return [width for name, value in self.options.items() if name.endswith("hidden_dims") for width in value]

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the constructor: the options, `seeds`, and lists of P for values that differ.

        The members are all seeds of the first cell, then all seeds of the second cell, and so on. If an option is a
        list with one value per seed, the list is repeated for every cell.
        """
        cells, seeds = self.cells, self.seeds
        taken = {"seeds": [*seeds] * len(cells), **self.options}
        for name in per_member_arguments(self.kind):
            if len(cells) > 1 and isinstance(taken.get(name), list):
                fits = len(taken[name]) == len(seeds)
                require(f"algo.{name}", fits, taken[name], f"one number, or one for each of {len(seeds)} seeds")
                taken[name] = taken[name] * len(cells)
        grid = {name: [cell[i] for cell in cells for _ in seeds] for i, name in enumerate(self.population)}
        return {**taken, **grid}

    def build(
        self, observation_dim: int, action_dim: int, dtype: torch.dtype = torch.float32
    ) -> tuple[Algorithm, dict[str, Any]]:
        """Build the algorithm.

        Args:
            observation_dim: O.
            action_dim: A.
            dtype: dtype of the networks.

        Returns:
            The algorithm, and its constructor's arguments as plain values.

        Raises:
            QamError: a value is out of range, or a value differs between members that must be equal.
        """
        arguments = {"observation_dim": observation_dim, "action_dim": action_dim, **self.arguments()}
        algorithm = self._construct(arguments)
        for name in algorithm.shared_values:
            value = self.options.get(name)
            if isinstance(value, list) and annotations_of(self.kind).get(name) != PER_MEMBER:
                raise QamError(
                    f"algo.{name}={value} differs between seeds, which {self.kind.__name__} does not declare: "
                    f"annotate the argument as '{PER_MEMBER}'"
                )
        return algorithm.to(dtype), arguments

    def _construct(self, arguments: Mapping[str, Any]) -> Algorithm:
        """Build the algorithm. Errors name the key and value in the configuration, not the constructor's argument."""
        try:
            return self.kind(**arguments)
        except QamError as error:
            name, _, rest = str(error).partition("=")
            if name not in arguments:
                raise
            group, values = ("population", self.population) if name in self.population else ("algo", self.options)
            given = str(arguments[name])  # a list with one entry per member, longer than in the configuration
            if name in values and rest.startswith(given):
                rest = f"{values[name]}{rest.removeprefix(given)}"
            raise QamError(f"{group}.{name}={rest}") from error

    def check(self) -> None:
        """Raise QamError if options, seeds or the grid are invalid."""
        taken, options = annotations_of(self.kind), self.options
        if options.get("fql_alpha") and options.get("edit_scale"):
            raise QamError(
                f"got algo.fql_alpha={options['fql_alpha']} and algo.edit_scale={options['edit_scale']}, which exclude "
                "each other: use algo=qam_f with fql_alpha or algo=qam_e with edit_scale"
            )
        for name, value in options.items():
            if name in _GIVEN:
                raise QamError(f"algo.{name}={value} is not an option: leave it out, {_GIVEN[name]}")
            if name not in taken:
                near = difflib.get_close_matches(name, [one for one in taken if one in options], n=2)
                hint = f"did you mean {' or '.join(near)}?" if near else "leave it out, or choose the algo that has it"
                raise QamError(f"algo={self.name} has no option '{name}': {hint}")
            if taken[name] in _KINDS:
                fits, expected = _KINDS[taken[name]]
                require(f"algo.{name}", fits(value), value, expected)
        self._check_members()
        # The constructor checks the ranges. With layers of one unit it takes almost no time.
        small = {name: [1] for name in options if taken[name] == "Sequence[int]"}
        self._replace(options={**options, **small}).build(observation_dim=1, action_dim=1)

    def _check_members(self) -> None:
        """Raise QamError if seeds are invalid or equal, or if a key of `population` is invalid.

        A key of `population` must be a hyperparameter that may differ between members, and must not be set by `algo`,
        too. Its value must be a list of different numbers.
        """
        seeds, known = list(self.seeds), per_member_arguments(self.kind)
        for seed in seeds:
            require("seed", is_integer(seed, 0), seed, "an integer >= 0")
        require("seeds", 0 < len(seeds) == len(set(seeds)), seeds, "at least one seed, all different")
        for name, value in self.population.items():
            if name not in known:
                other = f", or make a run for each value (-m algo.{name}=..)" if name in self.options else ""
                raise QamError(
                    f"population.{name} cannot differ between members of algo={self.name}: choose from "
                    f"{', '.join(known)}{other}"
                )
            distinct = isinstance(value, list) and all(map(is_number, value)) and 0 < len(value) == len(set(value))
            require(f"population.{name}", distinct, value, "a list of different numbers, such as [0.3,1,3]")
            if not isinstance(self.options.get(name), (int, float)) and self.options.get(name) is not None:
                raise QamError(
                    f"algo.{name}={self.options[name]} and population.{name}={value} set the same value: give one"
                )


_GIVEN = {
    "seeds": "and give 'seeds=[1,2,3]'",
    "observation_dim": "the environment determines it",
    "action_dim": "the environment determines it",
}
"""Constructor argument that is not an option -> end of the error message."""

_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "int": (lambda value: is_integer(value, 1), "an integer >= 1"),
    "float": (is_number, "a finite number"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "Sequence[int]": (
        lambda value: isinstance(value, list) and bool(value) and all(is_integer(v, 1) for v in value),
        "a list of integers >= 1, such as [512,512]",
    ),
    PER_MEMBER: (
        lambda value: is_number(value) or (isinstance(value, list) and bool(value) and all(map(is_number, value))),
        "a finite number, or a list with one for each seed",
    ),
}
"""Annotation of a method's constructor argument -> (test of a configured value, description of valid values)."""
