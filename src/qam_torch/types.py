"""Types that all packages share: batches, the callables of the mathematics, and the error class for users.

This module does not import torch. Commands that only read files or step environments therefore start quickly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = [
    "Batch",
    "Critic",
    "Draw",
    "Experience",
    "Linearizable",
    "MazeLayout",
    "Metrics",
    "Noise",
    "PRECISIONS",
    "Policy",
    "Pullback",
    "QamError",
    "Velocity",
    "WINDOW_RULES",
    "Work",
    "differentiates",
    "is_integer",
    "is_number",
    "require",
]


class QamError(ValueError):
    """An error that the user can fix, reported in one sentence: what was given, what is expected, and how to fix it.

    The commands print the sentence and exit with status 1, without a traceback.
    """


PRECISIONS = {"float32": "float32", "bf16-mixed": "float32", "float64": "float64"}
"""Value of the key `precision` -> name of the torch dtype of networks and data."""

WINDOW_RULES = ("qam", "rql")
"""Names of the rules that turn consecutive transitions into a row of a batch, see `data/window_rules.py`."""


def require(name: str, condition: bool, got: Any, expected: str) -> None:
    """Raise QamError "name=got is out of range: expected ..." unless the condition holds."""
    if not condition:
        raise QamError(f"{name}={got} is out of range: expected {expected}")


def is_integer(value: Any, least: int) -> bool:
    """Whether a value is an integer (not a bool) of at least `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: Any) -> bool:
    """Whether a value is a finite integer or floating-point number (not a bool)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


class Batch(NamedTuple):
    """Action chunks drawn from a dataset. The sampler has already reduced rewards and masks over the chunk.

    The leading axes are (P, B), or (U, P, B) when U updates are stacked. Indexing a stacked batch with
    `batch.update(u)` gives the batch of update u.

    Attributes:
        observations: (..., B, O), state at the window's start.
        actions: (..., B, D), chunk of h actions flattened time-major, D = h * A, in [-1, 1].
        rewards: (..., B), discounted sum of the chunk's rewards up to the episode's end.
        masks: (..., B), 0 if any step of the chunk reached success (no bootstrap), 1 otherwise.
        valid: (..., B), 0 if the episode ended before the window's last step, 1 otherwise.
        next_observations: (..., B, O), state after the chunk's last step inside the episode.

    For a method whose `windows` are "rql", some fields differ. valid has one entry per step, (..., B, h), which is 1
    for the steps inside the episode. Its last entry equals valid of the rule "qam". masks is the mask of the last step
    inside the episode. next_observations is the state before transition min(i + h, e), if the window starts at
    transition i and e is the last transition of its episode. After the episode's end, actions repeat the last action.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    masks: Tensor
    valid: Tensor
    next_observations: Tensor

    def update(self, u: int) -> Batch:
        """Return the batch of update u from a stack of U batches."""
        return Batch(*(field[u] for field in self))

    def unbind(self) -> list[Batch]:
        """Return the batches of all U updates of a stack."""
        return [Batch(*fields) for fields in zip(*(field.unbind() for field in self), strict=True)]


class Work(NamedTuple):
    """The updates of one trainer step.

    Attributes:
        updates: number of updates; >= 0.
        batches: stacks of batches, (U, P, B, ...) each, for `updates` updates in total. In the online phase, iterating
            over them steps the environments and makes the batches.
    """

    updates: int
    batches: Iterable[Batch]


class Experience(NamedTuple):
    """Transitions of P members in E environments each during n steps, in time order, in CPU memory.

    Attributes:
        observations: (n, P, E, O), float32.
        actions: (n, P, E, A), float32, as executed.
        rewards: (n, P, E), float64.
        masks: (n, P, E), float32, 0 if the step terminated the episode, 1 otherwise.
        begins: (n, P, E), bool, true at an episode's first step.
        next_observations: (n, P, E, O), float32; at an episode's end, the last observation of that episode.

    The starts of episodes are stored instead of their ends. An abandoned episode therefore needs no mark: it ends
    where the next episode starts.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    masks: np.ndarray
    begins: np.ndarray
    next_observations: np.ndarray


@dataclass(frozen=True)
class MazeLayout:
    """Walls, start and goal of a maze in the coordinates of its positions.

    Attributes:
        walls: (rows, columns) bool. The center of row i is at y = origin[1] + i * cell_size, and the center of column j
            is at x = origin[0] + j * cell_size.
        cell_size: edge length of a cell.
        origin: xy of the center of cell (0, 0).
        start: xy of the task's start. Episodes begin near it.
        goal: xy of the task's goal.
        goal_radius: an episode succeeds within this distance of the goal.
    """

    walls: np.ndarray
    cell_size: float
    origin: tuple[float, float]
    start: tuple[float, float]
    goal: tuple[float, float]
    goal_radius: float

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom and top edge, for `axes.imshow(layout.walls, origin="lower", extent=layout.extent)`."""
        rows, columns = self.walls.shape
        left, bottom = (center - self.cell_size / 2 for center in self.origin)
        return left, left + columns * self.cell_size, bottom, bottom + rows * self.cell_size

    def is_wall(self, xy: np.ndarray) -> np.ndarray:
        """Whether positions (..., 2) lie in a wall cell or outside the maze, (...,) bool."""
        import numpy as np  # imported here, so that commands that only list or print start without numpy

        cells = np.floor((np.asarray(xy) - np.array(self.origin)) / self.cell_size + 0.5).astype(int)
        rows, columns = self.walls.shape
        column, row = cells[..., 0], cells[..., 1]
        outside = (row < 0) | (row >= rows) | (column < 0) | (column >= columns)
        return outside | self.walls[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]


class Draw(NamedTuple):
    """A random draw that a loss or a policy requests by name.

    Attributes:
        shape: shape of one member's draw, e.g. (B, D).
        uniform: whether the draw is uniform on [0, 1) instead of standard normal.
        integers: the largest integer, if the draw is uniform on the integers first, ..., `integers`. They are
            floating-point numbers. None for other draws.
        stream: name of the random stream. Draws of a stream other than "" do not change other draws. Use one for draws
            that some members do not need.
        first: the smallest integer.
    """

    shape: tuple[int, ...]
    uniform: bool = False
    integers: int | None = None
    stream: str = ""
    first: int = 1


Noise = Mapping[str, "Tensor"]
"""Draws by name, each (P, *shape) with a leading population axis. Tests replace them with recorded draws."""


Metrics = Callable[[], "dict[str, Tensor]"]
"""Function that computes the diagnostics of a loss when it is called, each (P,)."""


class Velocity(Protocol):
    """A velocity field with the observations already bound: f(s, ., .)."""

    def __call__(self, x: Tensor, t: float | Tensor) -> Tensor:
        """Return the velocity (..., D) at x (..., D) and t in [0, 1], a number or broadcastable to (..., 1)."""
        ...


Pullback = Callable[["Tensor"], "Tensor"]
"""Function g (..., D) -> (dv/dx)^T g (..., D): the transposed derivative of a velocity field at one point."""


@runtime_checkable
class Linearizable(Velocity, Protocol):
    """A velocity field that can be linearized at many points at once. This costs less than one by one."""

    def linearize(self, xs: Tensor, ts: Tensor) -> Sequence[Pullback]:
        """Return the pullback at each of the T points xs (T, ..., D) and ts (T, 1, .., 1)."""
        ...


class Critic(Protocol):
    """An ensemble of action-value functions."""

    def __call__(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the values (P, K, B) of actions (P, B, D) at observations (P, B, O)."""
        ...


class Policy(Protocol):
    """A rule that turns observations and named noise into action chunks."""

    def draws(self, batch_size: int) -> dict[str, Draw]:
        """Return the draws by name that one call with `batch_size` rows uses."""
        ...

    def __call__(self, observations: Tensor, noise: Noise) -> Tensor:
        """Return action chunks (P, B, D) in [-1, 1] for observations (P, B, O)."""
        ...


def differentiates(policy: Policy) -> bool:
    """Whether a policy differentiates networks to select actions, as its attribute `differentiates` declares."""
    return bool(getattr(policy, "differentiates", False))
