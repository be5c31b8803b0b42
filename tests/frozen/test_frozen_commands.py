"""How every command ends: its exit status and the last line of what it prints, as recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.frozen.frozen_scenarios import SCENARIOS

MARKED = [name if one.light else pytest.param(name, marks=pytest.mark.slow) for name, one in SCENARIOS.items()]


@pytest.mark.slow
@pytest.mark.parametrize("scenario", MARKED)
def test_a_command_ends_as_recorded(
    scenario: str, outcome: Callable[[str], dict[str, Any]], expected: Callable[[str], Any]
) -> None:
    assert outcome(scenario) == expected("commands")[scenario]


def test_every_recorded_ending_is_tested(expected: Callable[[str], Any]) -> None:
    assert list(expected("commands")) == list(SCENARIOS)
