"""Time to draw one batch: 256 windows of 5 steps from a million transitions.

OMP_NUM_THREADS=1 python scripts/sampling_rate.py
"""

from __future__ import annotations

import timeit

import torch

from qam_torch.data.sampler import ChunkSampler
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows

TRANSITIONS, EPISODE, OBSERVATION, ACTION = 1_000_000, 1000, 46, 5
STATES = TRANSITIONS + TRANSITIONS // EPISODE


def main() -> None:
    """Print the median and the least of many repeats."""
    rows = torch.arange(STATES).reshape(-1, EPISODE + 1)[:, :-1].flatten()
    transitions = Transitions(
        states=torch.randn(STATES, OBSERVATION),
        state_rows=rows,
        next_rows=rows + 1,
        actions=torch.rand(TRANSITIONS, ACTION) * 2 - 1,
        rewards=-torch.ones(TRANSITIONS),
        masks=torch.ones(TRANSITIONS),
        terminals=torch.arange(TRANSITIONS) % EPISODE == EPISODE - 1,
    )
    sampler = ChunkSampler(ChunkWindows(transitions, horizon_length=5, discount=0.99), batch_size=256, seeds=(0,))
    print(f"{torch.get_num_threads()} threads")
    for updates in (1, 20):
        seconds = sorted(timeit.repeat(lambda u=updates: sampler.sample(u), number=20, repeat=101))  # type: ignore[misc]
        median, least = (1e3 * seconds[i] / (20 * updates) for i in (50, 0))
        print(f"{updates:3} batches per call: {median:.3f} ms per batch (shortest {least:.3f})")


if __name__ == "__main__":
    main()
