"""The report of made-up runs, to the last character."""

from __future__ import annotations

import pytest

from tests.frozen.frozen_scenarios import EXPECTED
from tests.frozen.frozen_shapes import REPORT_FILES
from tests.frozen.frozen_workplace import Workplace


@pytest.mark.parametrize("name", REPORT_FILES)
def test_the_report_of_made_up_runs_is_as_recorded(name: str, place: Workplace) -> None:
    assert (place.reported() / name).read_text() == (EXPECTED / REPORT_FILES[name]).read_text()
