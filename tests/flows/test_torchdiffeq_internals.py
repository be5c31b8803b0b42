"""The private parts of torchdiffeq that flows/torchdiffeq_internals.py uses."""

from __future__ import annotations

import importlib
import inspect

import pytest

MOVED = "torchdiffeq has changed: adapt qam_torch/flows/torchdiffeq_internals.py, or pin an earlier torchdiffeq"


@pytest.mark.parametrize("name", ["RK4", "Euler", "Heun2", "Heun3", "Midpoint"])
def test_solver_classes_are_where_they_are_imported_from(name: str) -> None:
    module = importlib.import_module("torchdiffeq._impl.fixed_grid")
    assert hasattr(module, name), MOVED
    solver = getattr(module, name)
    assert {"func", "y0"} <= inspect.signature(solver.__init__).parameters.keys() or "kwargs" in str(
        inspect.signature(solver.__init__)
    ), MOVED
    assert callable(getattr(solver, "integrate", None)), MOVED


def test_the_table_of_solvers_is_where_it_is_imported_from() -> None:
    module = importlib.import_module("torchdiffeq._impl.odeint")
    assert "dopri5" in getattr(module, "SOLVERS", {}), MOVED
