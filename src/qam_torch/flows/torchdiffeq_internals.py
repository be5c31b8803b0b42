"""The private parts of torchdiffeq that the flows use. No other module imports them.

torchdiffeq's public `odeint` reads the time tensor on the host at every step. Its fixed-grid solver classes make the
same steps on a grid of Python floats and never wait for the device. If a new version of torchdiffeq changes one of
these private parts, a test fails (tests/flows/test_torchdiffeq_internals.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torchdiffeq._impl.fixed_grid import RK4, Euler, Heun2, Heun3, Midpoint
from torchdiffeq._impl.odeint import SOLVERS

__all__ = ["FIXED_GRID_METHODS", "SOLVER_NAMES", "fixed_grid_solver"]

FIXED_GRID_METHODS: dict[str, type] = {"euler": Euler, "midpoint": Midpoint, "heun2": Heun2, "heun3": Heun3, "rk4": RK4}
SOLVER_NAMES = tuple(SOLVERS)
"""Names of all methods of `torchdiffeq.odeint`."""


class _RightHandSide:
    """A right-hand side f(t, y) with the interface that torchdiffeq's solver classes expect."""

    def __init__(self, field: Callable[[float, Tensor], Tensor]) -> None:
        self.field = field

    def __call__(self, t: float, y: Tensor, *, perturb: Any = None) -> Tensor:
        return self.field(t, y)

    def callback_step(self, t: float, y: Tensor, dt: float) -> None:
        """Do nothing. torchdiffeq calls this method before each step."""


def fixed_grid_solver(field: Callable[[float, Tensor], Tensor], y_0: Tensor, method: str, **options: Any) -> Any:
    """Build a fixed-grid solver, which has the method `integrate(times)`.

    Args:
        field: function (t, y) -> dy/dt; t is a Python float.
        y_0: (..., D), state at the first time.
        method: a key of FIXED_GRID_METHODS.
        **options: options of the solver class.
    """
    return FIXED_GRID_METHODS[method](func=_RightHandSide(field), y0=y_0, atol=0.0, **options)
