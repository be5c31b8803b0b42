"""Fixtures of the algorithms' tests."""

from __future__ import annotations

import pytest

from qam_torch.algorithms import Algorithm
from tests.helpers.algorithms import METHODS


@pytest.fixture(params=list(METHODS))
def kind(request: pytest.FixtureRequest) -> type[Algorithm]:
    return METHODS[request.param]
