"""Drawing batches of 256 windows of 5 steps, and keeping new transitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from qam_torch.algorithms import NamedNoise
from qam_torch.bench.workload import PRESETS, Workload
from qam_torch.data.replay_buffer import ReplayWindows
from qam_torch.data.sampler import ChunkSampler
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import Experience


@pytest.mark.parametrize("members", [1, 12])
def test_twenty_batches(benchmark: Any, transitions: Transitions, members: int) -> None:
    sampler = ChunkSampler(ChunkWindows(transitions, horizon_length=5, discount=0.99), 256, seeds=range(members))
    batch = benchmark(sampler.sample, 20)
    assert batch.actions.shape == (20, members, 256, 25)


def test_noise_of_twenty_updates(benchmark: Any) -> None:
    workload = Workload("qam", PRESETS["paper"])
    source = workload.algorithm.noise
    assert isinstance(source, NamedNoise)
    assert all(draw.isfinite().all() for draw in benchmark(source.sample, 20).values())


def test_a_transition_into_the_replay_buffer(benchmark: Any, transitions: Transitions) -> None:
    offline = ChunkWindows(transitions, horizon_length=5, discount=0.99)
    replay = ReplayWindows(offline, members=1, streams=1, capacity=100_000)
    rng, one = np.random.default_rng(0), (1, 1, 1)
    width, actions = transitions.states.shape[1], transitions.action_dim
    step = Experience(
        rng.normal(size=(*one, width)).astype(np.float32),
        rng.uniform(-1, 1, size=(*one, actions)).astype(np.float32),
        -np.ones(one),
        np.ones(one, np.float32),
        np.zeros(one, bool),
        rng.normal(size=(*one, width)).astype(np.float32),
    )
    benchmark(replay.add, step)
    assert replay.ticks > 0
