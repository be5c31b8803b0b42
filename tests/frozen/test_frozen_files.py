"""Files that commands leave: names, columns, keys and types, as recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.frozen.frozen_shapes import FILES, told_by_fit
from tests.frozen.frozen_workplace import Workplace

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("made", FILES)
def test_files_are_as_recorded(made: str, place: Workplace, expected: Callable[[str], Any]) -> None:
    assert FILES[made](place) == expected("files")[made]


def test_a_run_prints_what_was_recorded(place: Workplace, expected: Callable[[str], Any]) -> None:
    assert told_by_fit(place) == expected("output_of_a_run")
