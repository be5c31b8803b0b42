"""The replay buffer's windows: against lists of transitions that are walked through one by one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qam_torch.data.replay_buffer import MODES, ReplayWindows
from qam_torch.data.sampler import ChunkSampler
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import Batch, Experience, QamError

DATA = -1
"""Where the dataset's transitions come from, in place of a member."""


class Step(NamedTuple):
    """One transition. States are tagged (member, environment, episode, time), and actions with the last and a code."""

    state: list[float]
    action: list[float]
    reward: float
    mask: float
    begins: bool
    following: list[float]


Stream = list[Step]


def stream(rng: np.random.Generator, member: int, environment: int, count: int) -> Stream:
    """Episodes of random lengths, short ones too; one that was given up shows in nothing but the next one's begin."""
    steps: Stream = []
    episode, begins = -1, True
    for time in range(count):
        episode += begins
        tag = [float(member), float(environment), float(episode)]
        action = [(10 * member + environment) / 64, time / 1024]
        reward = float(np.float32(rng.normal()))
        steps.append(Step([*tag, time], action, reward, float(rng.random() > 0.2), begins, [*tag, time + 1]))
        begins = bool(rng.random() < rng.choice([0.1, 0.5]))
    return steps


def streams_of(rng: np.random.Generator, members: int, environments: int, count: int) -> list[list[Stream]]:
    return [[stream(rng, p, e, count) for e in range(environments)] for p in range(members)]


def experience(streams: list[list[Stream]], first: int, last: int) -> Experience:
    def gathered(name: str, kind: type) -> np.ndarray:
        return np.array(
            [[[getattr(own[t], name) for own in member] for member in streams] for t in range(first, last)], kind
        )

    return Experience(
        gathered("state", np.float32),
        gathered("action", np.float32),
        gathered("reward", np.float64),
        gathered("mask", np.float32),
        gathered("begins", bool),
        gathered("following", np.float32),
    )


def transitions(steps: Stream, dtype: torch.dtype = torch.float32) -> Transitions:
    arrays = {
        "observations": [step.state for step in steps],
        "actions": [step.action for step in steps],
        "rewards": [step.reward for step in steps],
        "masks": [step.mask for step in steps],
        "terminals": [after.begins for after in steps[1:]] + [False],  # as if cut there: it ends its episode anyway
        "next_observations": [step.following for step in steps],
    }
    return Transitions.from_arrays(**{name: np.array(array) for name, array in arrays.items()}, dtype=dtype)


def chunk_windows(steps: Stream, horizon: int, dtype: torch.dtype = torch.float32) -> ChunkWindows:
    return ChunkWindows(transitions(steps, dtype), horizon, 0.9)


def windows_of_all(windows: ReplayWindows) -> Batch:
    """Every start that may be drawn, for every member: (P, S, ...)."""
    starts = torch.arange(windows.data_starts + windows.collected_starts)
    return windows.gather(starts.expand(1, windows.members, -1)).update(0)


def obvious_window(steps: Stream, start: int, actions: Stream, horizon: int) -> list[list[float]]:
    """The window that begins at steps[start], in the order of a Batch; `actions` are those it lies over."""
    reward, mask, last = 0.0, 1.0, start
    for k in range(horizon):
        if k and (start + k == len(steps) or steps[start + k].begins):
            break
        last = start + k
        reward += 0.9**k * steps[last].reward
        mask = min(mask, steps[last].mask)
    chunk = [number for step in actions for number in step.action]
    return [steps[start].state, chunk, [reward], [mask], [float(last == start + horizon - 1)], steps[last].following]


def obvious_windows(data: Stream, own: list[Stream], ticks: int, capacity: int, horizon: int) -> Batch:
    """One member's windows, in the order of the starts, after so many steps in each environment."""
    places: list[Stream] = [[] for _ in own]
    for ring, steps in zip(places, own, strict=True):
        for tick, step in enumerate(steps[:ticks]):
            ring[tick % capacity : tick % capacity + 1] = [step]
    size = min(ticks, capacity)
    kept = [steps[ticks - size : ticks] for steps in own]
    line = data + places[0]  # as the chunks lie that run over the dataset's end
    of_data = len(data) - horizon + 1 + min(size, horizon - 1)
    rows = [obvious_window(data, i, line[i : i + horizon], horizon) for i in range(of_data)]
    rows += [
        obvious_window(steps, i, steps[i : i + horizon], horizon) for i in range(size - horizon + 1) for steps in kept
    ]
    fields = [torch.tensor(field, dtype=torch.float64) for field in zip(*rows, strict=True)]
    return Batch(*(field if i in (0, 1, 5) else field[:, 0] for i, field in enumerate(fields)))


def assert_never_joined(batch: Batch, member: int, oldest: int, horizon: int) -> None:
    """What can be seen from a member's batch alone."""
    for begin, chunk, valid, end in zip(
        batch.observations, batch.actions, batch.valid, batch.next_observations, strict=True
    ):
        origin, environment, _, time = begin.tolist()
        taken = chunk.reshape(horizon, 2)
        if origin == DATA:
            assert environment == 0
        else:
            assert origin == member
            assert time >= oldest
        assert begin[:3].tolist() == end[:3].tolist()  # windows that run over an end stay in their episode, too
        if valid:
            assert end[3] - time == horizon
        if valid or origin != DATA:  # what is collected lies in the order of time over its episodes' ends, too
            assert bool((taken[:, 0] == (10 * origin + environment) / 64).all())
            assert (taken[:, 1] * 1024).tolist() == [time + k for k in range(horizon)]


class Case(NamedTuple):
    """A buffer, and the sizes of the blocks that come into it."""

    seed: int
    members: int
    environments: int
    horizon: int
    capacity: int
    data: int
    blocks: list[int]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    horizon = draw(st.integers(1, 5))
    capacity = 2 * horizon + draw(st.integers(0, 4))
    return Case(
        seed=draw(st.integers(0, 1000)),
        members=draw(st.integers(1, 3)),
        environments=draw(st.integers(1, 3)),
        horizon=horizon,
        capacity=capacity,
        data=horizon + draw(st.integers(0, 12)),
        blocks=draw(st.lists(st.integers(1, 2 * capacity + 1), min_size=1, max_size=6)),
    )


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(case=cases(), mode=st.sampled_from(MODES))
def test_every_window_equals_the_obvious_reference(case: Case, mode: str) -> None:
    rng = np.random.default_rng(case.seed)
    data, horizon = stream(rng, DATA, 0, case.data), case.horizon
    streams = streams_of(rng, case.members, case.environments, sum(case.blocks))
    windows = ReplayWindows(
        chunk_windows(data, horizon, torch.float64), case.members, case.environments, case.capacity, mode
    )
    generator, ticks = torch.Generator().manual_seed(case.seed), 0
    for block in [0, *case.blocks]:
        windows.add(experience(streams, ticks, ticks + block))
        ticks += block
        batch = windows_of_all(windows)
        size = min(ticks, case.capacity)
        for p, own in enumerate(streams):
            found = Batch(*(field[p] for field in batch))
            for name, left, right in zip(
                Batch._fields, found, obvious_windows(data, own, ticks, case.capacity, horizon), strict=True
            ):
                rtol = 1e-12 if name == "rewards" else 0.0
                torch.testing.assert_close(left, right, rtol=rtol, atol=rtol, msg=f"{name} after {ticks}")
            assert_never_joined(found, p, ticks - size, horizon)
        if mode == "balanced" and size < horizon:
            continue
        drawn = windows.draw(3, 6, generator)
        assert drawn.shape == (3, 6)
        assert int(drawn.min()) >= 0 and int(drawn.max()) < windows.data_starts + windows.collected_starts
        if mode == "balanced":
            assert int(drawn[:, :3].max()) <= len(data) - horizon and int(drawn[:, 3:].min()) >= windows.data_starts


@settings(max_examples=30, deadline=None)
@given(case=cases())
def test_blocks_of_any_size_equal_single_steps_bit_for_bit(case: Case) -> None:
    rng = np.random.default_rng(case.seed)
    data = chunk_windows(stream(rng, DATA, 0, case.data), case.horizon)
    streams = streams_of(rng, case.members, case.environments, sum(case.blocks))
    one, blocks, single = (ReplayWindows(data, case.members, case.environments, case.capacity) for _ in range(3))
    ends = np.cumsum([0, *case.blocks]).tolist()
    one.add(experience(streams, 0, ends[-1]))
    for first, last in zip(ends, ends[1:], strict=False):
        blocks.add(experience(streams, first, last))
        for tick in range(first, last):
            single.add(experience(streams, tick, tick + 1))
        assert same(windows_of_all(blocks), windows_of_all(single))
    assert same(windows_of_all(one), windows_of_all(single))


@settings(max_examples=30, deadline=None)
@given(case=cases())
def test_what_is_collected_gives_the_windows_of_a_dataset_bit_for_bit(case: Case) -> None:
    rng = np.random.default_rng(case.seed)
    streams = streams_of(rng, case.members, case.environments, sum(case.blocks))
    windows = ReplayWindows(
        chunk_windows(stream(rng, DATA, 0, case.data), case.horizon), case.members, case.environments, case.capacity
    )
    windows.add(experience(streams, 0, sum(case.blocks)))
    if windows.size < case.horizon:
        assert windows.collected_starts == 0
        return
    batch = windows_of_all(windows)
    for p, member in enumerate(streams):
        for e, own in enumerate(member):
            expected = chunk_windows(own[-windows.size :], case.horizon)
            starts = torch.arange(expected.num_starts)
            places = windows.data_starts + starts * case.environments + e
            assert same(Batch(*(field[p, places] for field in batch)), expected(starts))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000),
    horizon=st.integers(1, 5),
    more=st.integers(0, 20),
    blocks=st.lists(st.integers(1, 9), max_size=6),
)
def test_one_stream_appended_is_one_long_dataset(seed: int, horizon: int, more: int, blocks: list[int]) -> None:
    """The reference's protocol: not a start more or less, and the same draws, as if all were in one array."""
    rng = np.random.default_rng(seed)
    data, own = stream(rng, DATA, 0, horizon + more), stream(rng, 0, 0, sum(blocks))
    windows = ReplayWindows(chunk_windows(data, horizon), 1, 1, max(2 * horizon, sum(blocks)))
    ticks = 0
    for block in [0, *blocks]:
        windows.add(experience([[own]], ticks, ticks + block))
        ticks += block
        expected = chunk_windows(data + own[:ticks], horizon)
        assert windows.data_starts + windows.collected_starts == expected.num_starts
        left, right = (each.draw(2, 50, torch.Generator().manual_seed(seed)) for each in (windows, expected))
        assert torch.equal(left, right)
        found = windows_of_all(windows)
        assert same(Batch(*(field[0] for field in found)), expected(torch.arange(expected.num_starts)))


def test_by_hand_an_episode_that_goes_on_and_is_given_up() -> None:
    rng = np.random.default_rng(0)
    own = stream(rng, 0, 0, 7)
    rewards = [1.0, 10.0, 100.0, 1000.0, 1e4, 1e5, 1e6]
    for t, reward in enumerate(rewards):
        episode = float(t >= 4)  # the first one ends nowhere: the second one begins, that is all
        own[t] = Step([0, 0, episode, t], [0, t / 1024], reward, float(t != 6), t in (0, 4), [0, 0, episode, t + 1])
    windows = ReplayWindows(ChunkWindows(transitions(stream(rng, DATA, 0, 9)), 3, 0.5), 1, 1, 6)

    def last_columns() -> list[list[float]]:
        batch = windows_of_all(windows)
        columns = (batch.rewards, batch.masks, batch.valid, batch.next_observations[..., 3])
        rows = [column[0, windows.data_starts :].tolist() for column in columns]
        return [list(row) for row in zip(*rows, strict=True)]

    windows.add(experience([[own]], 0, 2))
    assert last_columns() == []
    windows.add(experience([[own]], 2, 4))
    first = [[1 + 5 + 25, 1, 1, 3], [10 + 50 + 250, 1, 1, 4]]
    assert last_columns() == first
    windows.add(experience([[own]], 4, 5))
    assert last_columns() == [*first, [100 + 500, 1, 0, 4]]
    windows.add(experience([[own]], 5, 7))  # over the ring's seam: its first transition is gone
    assert last_columns() == [
        first[1],
        [100 + 500, 1, 0, 4],
        [1000, 1, 0, 4],
        [1e4 + 5e4 + 25e4, 0, 1, 7],
    ]


def filled(members: list[int], mode: str, ticks: int = 40) -> ReplayWindows:
    """Some of three members' streams, two each, in a ring of 17, behind a dataset with 20 starts."""
    rng = np.random.default_rng(5)
    data = chunk_windows(stream(rng, DATA, 0, 23), 4)
    streams = streams_of(rng, 3, 2, ticks)
    windows = ReplayWindows(data, len(members), 2, 17, mode)
    windows.add(experience([streams[p] for p in members], 0, ticks))
    return windows


@pytest.mark.parametrize("ticks", [3, 40])
def test_members_get_rewards_of_their_own_discounts(ticks: int) -> None:
    rng = np.random.default_rng(5)
    data, streams = transitions(stream(rng, DATA, 0, 23)), streams_of(rng, 3, 2, ticks)

    def windows(discount: float | list[float], members: list[list[Stream]]) -> ReplayWindows:
        made = ReplayWindows(ChunkWindows(data, 4, discount), len(members), 2, 17)
        made.add(experience(members, 0, ticks))
        return made

    discounts = [0.5, 0.9, 0.5]
    together = windows_of_all(windows(discounts, streams))
    for p, discount in enumerate(discounts):
        alone = windows_of_all(windows(discount, [streams[p]]))
        assert same(Batch(*(field[p : p + 1] for field in together)), alone)
    assert not torch.equal(together.rewards[1], windows_of_all(windows(0.5, streams)).rewards[1])


def assert_uniform(counts: torch.Tensor) -> None:
    """Chi-square: its mean is that of its degrees of freedom, and five deviations are allowed."""
    expected, freedom = float(counts.double().mean()), len(counts) - 1
    statistic = float(((counts - expected).square() / expected).sum())
    assert statistic < freedom + 5 * (2 * freedom) ** 0.5


def test_append_draws_all_starts_alike() -> None:
    windows = filled([0, 1], "append")
    assert (windows.data_starts, windows.collected_starts) == (20 + 3, 2 * 14)
    drawn = windows.draw(200, 256, torch.Generator().manual_seed(0))
    counts = torch.bincount(drawn.flatten(), minlength=51)
    assert len(counts) == 51
    assert_uniform(counts)


@pytest.mark.parametrize("batch_size", [256, 255])
def test_balanced_draws_half_of_every_batch_from_either_part(batch_size: int) -> None:
    windows = filled([0, 1], "balanced")
    drawn = windows.draw(200, batch_size, torch.Generator().manual_seed(0))
    assert drawn.shape == (200, batch_size)
    of_data = drawn < windows.data_starts
    assert (of_data.sum(dim=1) == 128).all()  # an odd one is the dataset's
    counts = torch.bincount(drawn.flatten(), minlength=51)
    assert len(counts) == 51
    assert counts[20:23].tolist() == [0, 0, 0]  # what runs over the dataset's end is of no use
    assert_uniform(counts[:20])
    assert_uniform(counts[23:])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ticks", [4, 6, 40])
def test_a_member_s_batches_do_not_depend_on_the_others(mode: str, ticks: int) -> None:
    together = ChunkSampler(filled([0, 1, 2], mode, ticks), 64, [7, 8, 9]).sample(3)
    for member, seed in enumerate([7, 8, 9]):
        alone = ChunkSampler(filled([member], mode, ticks), 64, [seed]).sample(3)
        assert same(Batch(*(field[:, member : member + 1] for field in together)), alone)


def test_no_place_is_written_twice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU it would be open what it holds then."""
    sizes: list[tuple[int, int]] = []
    add = ReplayWindows._add

    def noted(self: ReplayWindows, new: Experience) -> None:
        sizes.append((len(self._tip[0]), len(new.rewards)))
        add(self, new)

    monkeypatch.setattr(ReplayWindows, "_add", noted)
    windows = filled([0], "append", 100)
    assert sum(count for _, count in sizes) == 100
    assert all(tip == 3 for tip, _ in sizes[1:])
    assert max(tip + count for tip, count in sizes) <= windows.capacity


def test_no_update_needs_no_transition() -> None:
    sampler = ChunkSampler(filled([0, 1], "balanced", 1), 8, [1, 2])
    before = sampler.state_dict()
    nothing = sampler.empty()
    assert nothing.observations.shape == (0, 2, 8, 4) and nothing.actions.shape == (0, 2, 8, 8)
    after = sampler.state_dict()
    assert all(map(torch.equal, before["generators"], after["generators"]))


def test_errors() -> None:
    data = chunk_windows(stream(np.random.default_rng(0), DATA, 0, 9), 3)
    with pytest.raises(
        QamError, match=r"a replay buffer of 5 transitions per environment is too small: .* raise buffer"
    ):
        ReplayWindows(data, 1, 1, 5)
    with pytest.raises(QamError, match=r"^replay_mode=newest is out of range: expected append or balanced$"):
        ReplayWindows(data, 1, 1, 6, "newest")
    windows = filled([0], "balanced", 3)
    with pytest.raises(
        QamError, match="only 3 collected transitions, less than algo.horizon_length=4: raise start_training"
    ):
        windows.draw(1, 8, torch.Generator())


def same(one: Batch, other: Batch) -> bool:
    return all(torch.equal(left, right) for left, right in zip(one, other, strict=True))
