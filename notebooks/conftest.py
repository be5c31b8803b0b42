"""The notebooks are tests: each runs from its first to its last cell, and has three minutes for it.

Those that take longer train less here than they did when their outputs were saved.
"""

from __future__ import annotations

import os

import pytest

LIMIT = 180  # seconds
os.environ["SHORT_NOTEBOOKS"] = "1"  # kernels inherit it


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.timeout(LIMIT))
