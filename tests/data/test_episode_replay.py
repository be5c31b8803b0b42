"""The replay buffer by episode: its collected windows are those of a dataset that ends with the newest transition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qam_torch.data.episode_replay import EpisodeReplayWindows
from qam_torch.data.episode_windows import EpisodeWindows
from qam_torch.data.sampler import ChunkSampler
from qam_torch.types import Batch, QamError
from tests.data.test_replay_buffer import DATA, Stream, experience, stream, streams_of, transitions

HORIZON, CAPACITY = 3, 8


def episode_windows(steps: Stream) -> EpisodeWindows:
    return EpisodeWindows(transitions(steps, torch.float64), HORIZON, 0.9)


def dataset(rng: np.random.Generator, count: int = 12) -> EpisodeWindows:
    steps = stream(rng, DATA, 0, count)
    return episode_windows([step._replace(begins=i % 4 == 0) for i, step in enumerate(steps)])


def replay(
    offline: EpisodeWindows, streams: list[list[Stream]], ticks: int, mode: str = "append"
) -> EpisodeReplayWindows:
    windows = EpisodeReplayWindows(offline, len(streams), len(streams[0]), CAPACITY, mode)
    windows.add(experience(streams, 0, ticks))
    return windows


def gathered(windows: EpisodeReplayWindows, member: int, starts: torch.Tensor) -> Batch:
    every = starts.expand(1, windows.members, -1)
    return Batch(*(field[0, member] for field in windows.gather(every)))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), blocks=st.lists(st.integers(1, 2 * CAPACITY), min_size=1, max_size=6))
def test_every_collected_window_is_that_of_a_dataset_that_ends_now(seed: int, blocks: list[int]) -> None:
    rng = np.random.default_rng(seed)
    offline = dataset(rng)
    streams = streams_of(rng, 2, 2, sum(blocks))
    windows, ticks = EpisodeReplayWindows(offline, 2, 2, CAPACITY), 0
    for block in blocks:
        windows.add(experience(streams, ticks, ticks + block))
        ticks += block
        oldest = max(0, ticks - CAPACITY)
        for member, own in enumerate(streams):
            for environment, steps in enumerate(own):
                kept = steps[oldest:ticks]
                if len(kept) < HORIZON:
                    continue
                slots = torch.as_tensor(windows._bases[member, environment] + np.arange(oldest, ticks) % CAPACITY)
                found = gathered(windows, member, slots)
                expected = transitions(kept, torch.float64)
                table = EpisodeWindows(expected, HORIZON, 0.9)
                for name, left, right in zip(Batch._fields, found, table(torch.arange(len(kept))), strict=True):
                    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12, msg=f"{name} after {ticks}")
    everything = gathered(windows, 0, torch.arange(12))
    for left, right in zip(everything, offline(torch.arange(12)), strict=True):
        assert torch.equal(left, right), "the dataset's windows stay as they were"


def test_every_start_of_every_episode_is_drawn_and_no_episode_s_last() -> None:
    rng = np.random.default_rng(3)
    offline, streams, ticks = dataset(rng), streams_of(rng, 2, 2, 19), 19
    windows = replay(offline, streams, ticks)
    drawn = ChunkSampler(windows, 4, [1, 2]).sample(1500)
    for member, own in enumerate(streams):
        expected = {tuple(offline.transitions.states[i].tolist()) for i in offline.drawn_starts.tolist()}
        for steps in own:
            kept = steps[ticks - CAPACITY :]
            ends = [after.begins for after in kept[1:]] + [True]
            expected |= {tuple(step.state) for step, last in zip(kept, ends, strict=True) if not last}
        found = {tuple(row.tolist()) for row in drawn.observations[:, member].flatten(0, 1)}
        assert found == expected
        assert (drawn.valid.sum(-1) >= 1).all()


def test_balanced_batches_alternate_between_dataset_and_collected() -> None:
    rng = np.random.default_rng(4)
    windows = replay(dataset(rng), streams_of(rng, 1, 2, 9), 9, "balanced")
    origin = ChunkSampler(windows, 5, [1]).sample(20).observations[:, 0, :, 0]
    assert (origin[:, ::2] == DATA).all() and (origin[:, 1::2] == 0).all()


def test_balanced_needs_a_collected_episode_of_two() -> None:
    rng = np.random.default_rng(5)
    windows = replay(dataset(rng), streams_of(rng, 1, 1, 1), 1, "balanced")
    with pytest.raises(QamError, match=r"only 1 collected transitions, and no episode with two: raise start_training"):
        windows.draw(1, 4, torch.Generator())


def test_a_buffer_that_is_filled_again_draws_the_same() -> None:
    rng = np.random.default_rng(6)
    offline, streams = dataset(rng), streams_of(rng, 2, 1, 21)
    one = replay(offline, streams, 21)
    other = EpisodeReplayWindows(offline, 2, 1, CAPACITY)
    for tick in range(21):
        other.add(experience(streams, tick, tick + 1))
    for left, right in zip(*(ChunkSampler(windows, 6, [1, 2]).sample(9) for windows in (one, other)), strict=True):
        assert torch.equal(left, right)
