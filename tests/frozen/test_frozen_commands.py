"""How every command ends, by exit status and last line, and the files that it leaves: as recorded.

One file, so that all tests use the same finished runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.frozen.frozen_scenarios import EXPECTED, SCENARIOS, observed
from tests.frozen.frozen_shapes import FILES, REPORT_FILES, output_of_fit
from tests.frozen.frozen_workplace import Workplace


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_command_ends_as_recorded(scenario: str, place: Workplace, expected: Callable[[str], Any]) -> None:
    assert observed(scenario, place) == expected("commands")[scenario]


def test_every_recorded_ending_is_tested(expected: Callable[[str], Any]) -> None:
    assert list(expected("commands")) == list(SCENARIOS)


@pytest.mark.slow
@pytest.mark.parametrize("made", FILES)
def test_files_are_as_recorded(made: str, place: Workplace, expected: Callable[[str], Any]) -> None:
    assert FILES[made](place) == expected("files")[made]


@pytest.mark.slow
def test_a_run_prints_what_was_recorded(place: Workplace, expected: Callable[[str], Any]) -> None:
    assert output_of_fit(place) == expected("output_of_a_run")


@pytest.mark.parametrize("name", REPORT_FILES)
def test_the_report_of_made_up_runs_is_as_recorded(name: str, place: Workplace) -> None:
    assert (place.reported() / name).read_text() == (EXPECTED / REPORT_FILES[name]).read_text()
