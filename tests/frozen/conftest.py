"""Fixtures of the frozen tests: one place where commands run, and what was recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.frozen.frozen_scenarios import EXPECTED, SCENARIOS, observed
from tests.frozen.frozen_workplace import Workplace


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A directory in which commands run, and what several tests need."""
    return Workplace(tmp_path_factory.mktemp("frozen"))


@pytest.fixture(scope="session")
def expected() -> Callable[[str], Any]:
    """expected(name) -> the recorded content of expected/NAME.json."""
    return lambda name: json.loads((EXPECTED / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def outcome(place: Workplace, request: pytest.FixtureRequest) -> Iterator[Callable[[str], dict[str, Any]]]:
    """outcome(scenario) -> what it gave here; as many scenarios run at a time as there are cores.

    With the first all those begin that were asked for in this session, in the order of their tests.
    """
    parallel = 1 if "PYTEST_XDIST_WORKER" in os.environ else os.cpu_count() or 1
    with ThreadPoolExecutor(parallel) as pool:
        asked = [item.callspec.params.get("scenario") for item in request.session.items if hasattr(item, "callspec")]
        begun: dict[str, Future[dict[str, Any]]] = {
            name: pool.submit(observed, name, place) for name in asked if name in SCENARIOS
        }
        yield lambda name: begun[name].result()
        for future in begun.values():
            future.cancel()
