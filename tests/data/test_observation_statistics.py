"""Mean and standard deviation of observations, against numpy's over the rows that were acted in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from qam_torch.data import observation_statistics as module
from qam_torch.data.observation_statistics import observation_statistics
from qam_torch.data.transitions import Transitions


def transitions_of(observations: np.ndarray, dtype: torch.dtype = torch.float32) -> Transitions:
    """One episode, whose last state, far away, is only a next observation."""
    count = len(observations)
    ends = np.arange(count) == count - 1
    following = np.concatenate([observations[1:], observations[-1:] + 1000])
    return Transitions.from_arrays(
        observations, np.zeros((count, 1)), np.zeros(count), np.ones(count), ends, following, dtype=dtype
    )


def test_statistics_by_hand() -> None:
    found = observation_statistics(transitions_of(np.array([[1.0, 5.0], [2.0, 5.0], [6.0, 5.0]])))
    assert found.mean.tolist() == [3.0, 5.0]
    torch.testing.assert_close(found.std, torch.tensor([np.sqrt(14 / 3), 1.0], dtype=torch.float64))
    assert found.constant.tolist() == [False, True]
    assert found.remark.endswith("; 1 of 2 dimensions are constant and only shifted")


def test_many_rows_far_from_zero_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces; squares of numbers around 1e4 in float32 would leave nothing of a deviation of 0.1."""
    rows = np.random.default_rng(0).normal([0.0, 1e4, -3.0], [1e-9, 0.1, 7.0], (5000, 3)).astype(np.float32)
    monkeypatch.setattr(module, "ROWS", 999)
    found = observation_statistics(transitions_of(rows))
    np.testing.assert_allclose(found.mean, rows.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.std, rows.astype(np.float64).std(0), rtol=1e-9)
    assert not found.constant.any() and "constant" not in found.remark


@pytest.mark.parametrize("value", [0.0, 0.1, -7.3e5])
def test_what_varies_by_rounding_only_is_constant(value: float) -> None:
    rows = np.full((1000, 1), value, np.float32)
    rows[::3] = np.nextafter(rows[0], np.float32(np.inf)) if value else 0.0
    found = observation_statistics(transitions_of(rows))
    assert found.constant.item() and found.std.item() == 1.0
