"""Names of run directories, by which resume=auto finds a run, and the public API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.frozen.frozen_shapes import NAMES, names, public_api


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """The names that this version gives."""
    return names()


@pytest.mark.parametrize("what", NAMES)
def test_a_run_directory_has_its_recorded_name(
    what: str, found: dict[str, Any], expected: Callable[[str], Any]
) -> None:
    assert found[what] == expected("names")[what]


def test_the_public_api_is_as_recorded(expected: Callable[[str], Any]) -> None:
    assert public_api() == expected("public_api")
