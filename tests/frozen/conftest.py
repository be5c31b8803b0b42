"""Fixtures of the frozen tests: one place where commands run, and what was recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.frozen.frozen_scenarios import EXPECTED
from tests.frozen.frozen_workplace import Workplace


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A directory in which commands run, and what several tests need."""
    return Workplace(tmp_path_factory.mktemp("frozen"))


@pytest.fixture(scope="session")
def expected() -> Callable[[str], Any]:
    """expected(name) -> the recorded content of expected/NAME.json."""
    return lambda name: json.loads((EXPECTED / f"{name}.json").read_text())
