"""Cost of the replay buffer: storing a transition, and writing 50,000 of 1.5 million transitions to disk.

OMP_NUM_THREADS=1 python scripts/replay_rate.py
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from qam_torch.data.replay_buffer import ReplayWindows
from qam_torch.data.replay_log import ReplayLog
from qam_torch.data.sampler import ChunkSampler
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import Experience

OBSERVATION, ACTION, EPISODE, KEPT, NEW = 46, 5, 1000, 1_450_000, 50_000


def experience(steps: int) -> Experience:
    """Random steps of one environment."""
    rng, lead = np.random.default_rng(0), (steps, 1, 1)
    return Experience(
        rng.normal(size=(*lead, OBSERVATION)).astype(np.float32),
        rng.uniform(-1, 1, size=(*lead, ACTION)).astype(np.float32),
        -np.ones(lead),
        np.ones(lead, np.float32),
        (np.arange(steps) % EPISODE == 0).reshape(lead),
        rng.normal(size=(*lead, OBSERVATION)).astype(np.float32),
    )


def windows(count: int) -> ChunkWindows:
    """A small dataset."""
    rows = torch.arange(count)
    data = Transitions(
        states=torch.randn(count + 1, OBSERVATION),
        state_rows=rows,
        next_rows=rows + 1,
        actions=torch.rand(count, ACTION) * 2 - 1,
        rewards=-torch.ones(count),
        masks=torch.ones(count),
        terminals=rows % EPISODE == EPISODE - 1,
    )
    return ChunkWindows(data, horizon_length=5, discount=0.99)


def main() -> None:
    """Print all figures."""
    block = experience(NEW)
    replay = ReplayWindows(windows(10_000), members=1, streams=1, capacity=200_000)
    one_by_one = [Experience(*(field[i : i + 1] for field in block)) for i in range(5000)]
    start = time.perf_counter()
    for step in one_by_one:
        replay.add(step)
    print(f"memory: {(time.perf_counter() - start) / len(one_by_one) * 1e6:.0f} us per transition")
    sampler = ChunkSampler(replay, 256, (0,))
    start = time.perf_counter()
    for _ in range(500):
        sampler.sample()
    print(f"drawing a batch of 256 windows of 5: {(time.perf_counter() - start) / 500 * 1e6:.0f} us")

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "replay.bin"
        log = ReplayLog(path, 1, 1, OBSERVATION, ACTION)
        for _ in range(KEPT // NEW):
            log.append(block)
        log.flush()
        start = time.perf_counter()
        for step in one_by_one:
            log.append(step)
        print(f"file: {(time.perf_counter() - start) / len(one_by_one) * 1e6:.0f} us per transition")
        log.append(Experience(*(field[len(one_by_one) :] for field in block)))
        start = time.perf_counter()
        state = log.flush()
        seconds, size = time.perf_counter() - start, path.stat().st_size
        print(f"a save after {NEW:,} more, {state['steps']:,} in all ({size / 1e6:,.0f} MB): {seconds:.3f} s")
        log.close()
        start = time.perf_counter()
        for read in ReplayLog(path, 1, 1, OBSERVATION, ACTION).restore(state):
            del read
        print(f"reading them back: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
