"""What counts as an environment's report of success."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qam_torch.envs.verdict import verdict_of

VALUES = {
    "true": (True, True),
    "false": (False, False),
    "numpy": (np.bool_(True), True),
    "one": (1.0, True),
    "zero": (0, False),
    "an array of one": (np.array([True]), True),
    "a list of one": ([False], False),
    "none": (None, None),
    "NaN": (float("nan"), None),
    "an array of NaN": (np.array([np.nan]), None),
    "a text": ("False", None),
    "an empty text": ("", None),
    "two verdicts": (np.array([True, False]), None),
    "a dictionary": ({"task": True}, None),
}


@pytest.mark.parametrize(("value", "verdict"), VALUES.values(), ids=list(VALUES))
@pytest.mark.parametrize("key", ["success", "is_success"])
def test_truth_values_are_verdicts_and_nothing_else_is(key: str, value: Any, verdict: bool | None) -> None:
    assert verdict_of({key: value, "other": True}) is verdict


def test_the_second_key_counts_where_the_first_is_no_verdict() -> None:
    assert verdict_of({"success": float("nan"), "is_success": True}) is True
    assert verdict_of({"success": False, "is_success": True}) is False
    assert verdict_of({}) is None
