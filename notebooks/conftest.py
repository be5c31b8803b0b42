"""The notebooks are tests: each runs from its first to its last cell, and has three minutes for it."""

from __future__ import annotations

import pytest

LIMIT = 180  # seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.timeout(LIMIT))
