"""How many environments an evaluation makes."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from qam_torch.envs.gymnasium_registry import make_registered
from qam_torch.envs.pool import EnvironmentPool
from qam_torch.rollout import pools
from qam_torch.rollout.pools import evaluation_pool


@pytest.mark.parametrize(
    ("members", "most", "size", "count"),
    [
        (3, None, 2_000_000, 99),
        (3, None, 150_000_000, 6),
        (1, None, 150_000_000, 6),
        (7, None, 150_000_000, 7),  # one per member
        (3, 12, 150_000_000, 12),
        (3, 12, 2_000_000, 12),
        (3, 2, 0, 3),
    ],
)
def test_few_large_environments_and_many_small_ones(
    members: int, most: int | None, size: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def local(make: Any, count: int, workers: int | None, metrics: Any) -> EnvironmentPool:
        return EnvironmentPool(make, count, 0, metrics=metrics)

    def try_out(pool: EnvironmentPool) -> None:
        pool.environment_bytes = size

    monkeypatch.setattr(pools, "make_pool", local)
    monkeypatch.setattr(EnvironmentPool, "try_out", try_out)
    with evaluation_pool(partial(make_registered, "Pendulum-v1"), members, 50, most, workers=2) as pool:
        assert pool.count == count
