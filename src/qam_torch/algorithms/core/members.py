"""Hyperparameters that may differ between members of a population, and the names of the members."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from qam_torch.types import require

__all__ = [
    "FINITE",
    "OPEN_UNIT",
    "NON_NEGATIVE",
    "POSITIVE",
    "UNIT_WITHOUT_0",
    "UNIT_WITHOUT_1",
    "MemberValues",
    "Range",
    "address_of",
]


class Range(NamedTuple):
    """A range of valid values.

    Attributes:
        holds: returns whether a value is in the range.
        words: description of the range for error messages.
    """

    holds: Callable[[float], bool]
    words: str


POSITIVE = Range(lambda v: 0 < v < math.inf, "a number > 0")
NON_NEGATIVE = Range(lambda v: 0 <= v < math.inf, "a number >= 0")
UNIT_WITHOUT_0 = Range(lambda v: 0 < v <= 1, "a number in (0, 1]")
OPEN_UNIT = Range(lambda v: 0 < v < 1, "a number in (0, 1)")
UNIT_WITHOUT_1 = Range(lambda v: 0 <= v < 1, "a number in [0, 1)")
FINITE = Range(math.isfinite, "a finite number")


class MemberValues(nn.Module):
    """Hyperparameters of losses, targets, optimizer or policy, with one value for all members or one value per member.

    A shared value stays a Python float. Per-member values are tensors, so that they are never read on the host.
    """

    seeds: tuple[int, ...]
    shared_values: dict[str, float]
    member_values: dict[str, list[float]]

    @property
    def members(self) -> int:
        """The number of members P."""
        return len(self.seeds)

    @property
    def network_dtype(self) -> torch.dtype:
        """The dtype of the networks and losses."""
        raise NotImplementedError

    def set_member_value(self, name: str, value: float | Sequence[float], within: Range = POSITIVE) -> None:
        """Register a hyperparameter, so that `member_value` returns it.

        Args:
            name: name of the constructor's argument.
            value: one value for all members, or a list of P values.
            within: valid range.

        Raises:
            QamError: a value is out of range, or the length of a list is not P.
        """
        values = [value] if isinstance(value, (int, float)) else list(value)
        fits = isinstance(value, (int, float)) or len(values) == self.members
        require(name, fits, value, f"one number, or one for each of {self.members} members")
        require(name, all(map(within.holds, values)), value, within.words)
        if not isinstance(value, (int, float)):
            self.member_values[name] = [float(one) for one in values]
        self._register(name, values, single=isinstance(value, (int, float)))

    def derive_member_value(self, name: str, source: str, function: Callable[[float], float]) -> None:
        """Register a function of a registered value, computed on the host in double precision.

        Args:
            name: name of the new value.
            source: name of the registered value.
            function: computes the new value from a registered value.
        """
        values = self.member_values.get(source)
        given = [self.shared_values[source]] if values is None else values
        self._register(name, [function(one) for one in given], single=values is None)

    def _register(self, name: str, values: Sequence[float], single: bool) -> None:
        # Float64, so that a member's value equals that of a standalone run: `.to(dtype)` then rounds both alike.
        numbers = None if single else torch.tensor(values, dtype=torch.float64)
        self.register_buffer(f"{name}_values", numbers, persistent=False)
        self.shared_values[name] = float(values[0])

    def member_value(self, name: str, ndim: int = 1) -> float | Tensor:
        """Return a registered value.

        Args:
            name: name of the value.
            ndim: number of axes of the tensor that the value multiplies, >= 1.

        Returns:
            The shared value, or a tensor (P, 1, ...) with `ndim` axes if there is one value per member.
        """
        values = getattr(self, f"{name}_values")
        if values is None:
            return self.shared_values[name]
        return values.to(self.network_dtype).view(-1, *(1,) * (ndim - 1))

    def values_of(self, member: int) -> dict[str, float]:
        """Return the per-member hyperparameters of one member by name."""
        return {name: values[member] for name, values in self.member_values.items()}

    def name_of(self, member: int) -> str:
        """Return a member's name, e.g. "seed=2,inv_temp=3"."""
        return address_of({"seed": self.seeds[member], **self.values_of(member)})


def address_of(numbers: Mapping[str, float]) -> str:
    """Format a member's seed and hyperparameters as its address, e.g. "seed=2,inv_temp=3"."""
    return ",".join(f"{name}={_digits(value)}" for name, value in numbers.items())


def _digits(value: float) -> str:
    """Format a number as a short text that parses to the same number."""
    if isinstance(value, int):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return str(int(value))
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
