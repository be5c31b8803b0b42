"""What the benchmarks share: synthetic transitions of the size of a real dataset."""

from __future__ import annotations

import pytest
import torch

from qam_torch.data.transitions import Transitions

OBSERVATION, ACTION, EPISODE = 46, 5, 1000


@pytest.fixture(scope="session")
def transitions() -> Transitions:
    """A million transitions in episodes of a thousand, as large as OGBench's sets."""
    count = 1_000_000
    states = count + count // EPISODE
    rows = torch.arange(states).reshape(-1, EPISODE + 1)[:, :-1].flatten()
    generator = torch.Generator().manual_seed(0)
    return Transitions(
        states=torch.randn(states, OBSERVATION, generator=generator),
        state_rows=rows,
        next_rows=rows + 1,
        actions=torch.rand(count, ACTION, generator=generator) * 2 - 1,
        rewards=-torch.ones(count),
        masks=torch.ones(count),
        terminals=torch.arange(count) % EPISODE == EPISODE - 1,
    )
