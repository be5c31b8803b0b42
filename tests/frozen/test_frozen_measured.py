"""What light commands import and how long they take, and the quickstart's memory; bounds are generous."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.frozen.frozen_measured import COMMANDS, IMPORTED, imported, peak_of, seconds_of
from tests.frozen.frozen_memory import MEGABYTE
from tests.frozen.frozen_workplace import Workplace


@pytest.mark.slow
@pytest.mark.parametrize("command", IMPORTED)
def test_a_light_command_imports_no_more_than_recorded(
    command: str, place: Workplace, expected: Callable[[str], Any]
) -> None:
    assert set(imported(place, command)) <= set(expected("imports")["modules"][command])


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_light_command_starts_as_fast_as_recorded(
    command: str, place: Workplace, expected: Callable[[str], Any]
) -> None:
    bound = 2 * expected("imports")["seconds"][command] + 1
    assert any(seconds_of(place, command, repeats=1) <= bound for _ in range(3))


@pytest.mark.slow
def test_the_quickstart_takes_no_more_memory_than_recorded(place: Workplace, expected: Callable[[str], Any]) -> None:
    peak, recorded = peak_of(place, "short quickstart"), expected("memory")["peak"]["short quickstart"]
    assert peak.pss <= 1.1 * recorded["pss"] + 50 * MEGABYTE
    assert peak.anonymous <= 1.1 * recorded["anonymous"] + 50 * MEGABYTE
