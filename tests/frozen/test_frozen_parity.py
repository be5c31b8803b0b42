"""The settings of the recorded learning curves, for every method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import qam_torch
from tests.frozen.frozen_shapes import METHODS, parity


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """The configuration of every method that this version composes."""
    return parity("parity")


def test_what_all_methods_have_in_common_is_as_recorded(
    composed: dict[str, Any], expected: Callable[[str], Any]
) -> None:
    assert composed["common"] == expected("parity")["common"]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_has_its_recorded_settings(
    method: str, composed: dict[str, Any], expected: Callable[[str], Any]
) -> None:
    assert composed["methods"][method] == expected("parity")["methods"][method]


def test_runs_of_these_settings_have_a_directory_of_their_own() -> None:
    name = qam_torch.compose(["experiment=parity", "algo=fql", "seed=2"]).run_name
    assert name == "parity/pointmaze-medium-navigate-task1/fql/seed2"
