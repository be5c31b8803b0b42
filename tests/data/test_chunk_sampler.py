"""Windows: against a slow per-row reference, against the reference implementation's recording, and as random draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qam_torch.data.sampler import ChunkSampler
from qam_torch.data.transitions import Transitions
from qam_torch.types import QamError

GOLDEN = Path(__file__).parents[1] / "golden" / "sampler.npz"


def episodes(lengths: list[int], seed: int = 0, dtype: torch.dtype = torch.float64) -> Transitions:
    """Random transitions; raw rows are numbered, so a state says where it came from."""
    rng = np.random.default_rng(seed)
    terminals = np.concatenate([np.arange(length + 1) == length for length in lengths])
    rows, count = len(terminals), sum(lengths)
    raw = {
        "observations": np.stack([np.arange(rows), rng.normal(size=rows)], axis=1),
        "actions": rng.uniform(-0.9, 0.9, size=(rows, 2)),
        "terminals": terminals,
    }
    rewards, masks = rng.normal(size=count), (rng.random(count) > 0.2).astype(np.float64)
    return Transitions.from_ogbench(raw, rewards, masks, dtype=dtype)


def slow_window(data: Transitions, start: int, horizon: int, discount: float) -> dict[str, Any]:
    """One window, a step at a time, straight from the definition."""
    end = start
    while not data.terminals[end] and end + 1 < data.num_transitions:
        end += 1
    columns: dict[str, list[Any]] = {"rewards": [], "masks": [], "valid": [], "terminals": [], "next_observations": []}
    total, mask = 0.0, 1.0
    for j in range(horizon):
        i = start + j
        if i <= end:
            total += discount**j * float(data.rewards[i])
            mask = min(mask, float(data.masks[i]))
        last = min(i, end)
        columns["rewards"].append(total)
        columns["masks"].append(mask)
        columns["valid"].append(float(i <= end))
        columns["terminals"].append(float(data.terminals[last]))
        columns["next_observations"].append(data.states[data.next_rows[last]].tolist())
    return columns


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    horizon=st.integers(1, 7),
    discount=st.sampled_from([0.0, 0.9, 0.99, 1.0]),
    seed=st.integers(0, 1000),
    finished=st.booleans(),
)
def test_windows_equal_the_slow_reference(
    lengths: list[int], horizon: int, discount: float, seed: int, finished: bool
) -> None:
    data = episodes(lengths, seed)
    data.terminals[-1] = finished
    horizon = min(horizon, data.num_transitions)
    sampler = ChunkSampler(data, horizon, discount, 1, [0], allow_short_episodes=True)
    starts = torch.arange(data.num_transitions - horizon + 1)
    assert sampler.num_starts == len(starts)
    batch, steps = sampler.windows(starts), sampler.window_steps(starts)
    for start in starts.tolist():
        expected = slow_window(data, start, horizon, discount)
        for key, column in expected.items():
            torch.testing.assert_close(steps[key][start], torch.tensor(column, dtype=torch.float64))
            if key != "terminals":
                last = torch.tensor(column[-1], dtype=torch.float64)
                torch.testing.assert_close(getattr(batch, key)[start], last)
        torch.testing.assert_close(batch.observations[start], data.states[data.state_rows[start]])
        torch.testing.assert_close(batch.actions[start], data.actions[start : start + horizon].flatten())
        torch.testing.assert_close(steps["actions"][start], data.actions[start : start + horizon])


def test_three_step_episode_by_hand() -> None:
    data = Transitions.from_arrays(
        observations=np.array([[0.0], [1.0], [2.0], [10.0], [11.0]]),
        next_observations=np.array([[1.0], [2.0], [3.0], [11.0], [12.0]]),
        actions=np.array([[0.1], [0.2], [0.3], [0.4], [0.5]]),
        rewards=np.array([-1.0, 0.0, -1.0, -1.0, -1.0]),
        masks=np.array([1.0, 0.0, 1.0, 1.0, 1.0]),
        terminals=np.array([0, 0, 1, 0, 1]),
        dtype=torch.float64,
    )
    batch = ChunkSampler(data, 2, 0.5, 1, [0]).windows(torch.arange(4))
    assert batch.rewards.tolist() == [-1.0, -0.5, -1.0, -1.5]
    assert batch.masks.tolist() == [0.0, 0.0, 1.0, 1.0]
    assert batch.valid.tolist() == [1.0, 1.0, 0.0, 1.0]
    assert batch.next_observations.flatten().tolist() == [2.0, 3.0, 3.0, 12.0]
    assert batch.actions.tolist() == [[0.1, 0.2], [0.2, 0.3], [0.3, 0.4], [0.4, 0.5]]


def test_golden_case() -> None:
    with np.load(GOLDEN) as file:
        case = {key: file[key] for key in file.files if key != "case_json"}
    data = Transitions.from_arrays(
        **{key.removeprefix("data/"): array for key, array in case.items() if key.startswith("data/")},
        dtype=torch.float64,
        clip_actions=False,
    )
    sampler = ChunkSampler(data, 5, 0.99, 1, [0], allow_short_episodes=True)
    starts = torch.as_tensor(case["starts"])
    assert sampler.num_starts == len(starts)
    expected = {key.removeprefix("window/"): array for key, array in case.items() if key.startswith("window/")}
    steps, batch = sampler.window_steps(starts), sampler.windows(starts)
    assert steps.keys() == expected.keys()
    for key, array in expected.items():
        np.testing.assert_allclose(steps[key].numpy(), array, rtol=0, atol=1e-12 * np.abs(array).max(), err_msg=key)
        if key == "terminals":
            continue
        if key == "actions":
            array = array.reshape(len(starts), -1)
        elif key != "observations":
            array = array[:, -1]
        recorded = getattr(batch, key).numpy()
        np.testing.assert_allclose(recorded, array, rtol=0, atol=1e-12 * np.abs(array).max(), err_msg=key)


def test_sample_is_the_windows_of_its_starts() -> None:
    """The first state component numbers the raw rows, so the drawn starts can be read off the batch."""
    data = episodes([6, 9, 5])
    sampler = ChunkSampler(data, 3, 0.9, 16, [5, 6])
    batch = sampler.sample(4)
    assert batch.observations.shape == (4, 2, 16, 2)
    assert batch.actions.shape == (4, 2, 16, 6)
    assert batch.rewards.shape == batch.masks.shape == batch.valid.shape == (4, 2, 16)
    start_of_row = {int(row): start for start, row in enumerate(data.state_rows)}
    starts = torch.tensor([start_of_row[int(row)] for row in batch.observations[..., 0].flatten()]).reshape(4, 2, 16)
    for drawn, again in zip(batch, sampler.windows(starts), strict=True):
        assert torch.equal(drawn, again)


def test_every_start_is_equally_likely() -> None:
    data = episodes([3, 4, 3])
    sampler = ChunkSampler(data, 2, 0.9, 1000, [1])
    rows = sampler.sample(20).observations[..., 0].flatten()
    counts = torch.stack([(rows == row).sum() for row in data.state_rows]).double()
    assert counts[-1] == 0  # N - h + 1 = 9 starts: the last transition starts no window
    expected = 20_000 / 9
    chi_square = float(((counts[:-1] - expected) ** 2 / expected).sum())
    assert chi_square < 26.1  # 0.999 quantile with 8 degrees of freedom


def test_member_draws_the_same_alone_and_in_a_population() -> None:
    data = episodes([20, 30])
    together = ChunkSampler(data, 3, 0.9, 8, [11, 22, 33]).sample(2)
    alone = ChunkSampler(data, 3, 0.9, 8, [22]).sample(2)
    assert torch.equal(together.observations[:, 1], alone.observations[:, 0])
    assert torch.equal(together.actions[:, 1], alone.actions[:, 0])
    assert not torch.equal(together.observations[:, 0], together.observations[:, 1])


def test_stream_does_not_depend_on_grouping() -> None:
    data = episodes([20, 30])
    grouped = ChunkSampler(data, 3, 0.9, 8, [1, 2]).sample(6).observations
    single = ChunkSampler(data, 3, 0.9, 8, [1, 2])
    parts = torch.cat([single.sample(u).observations for u in (1, 2, 3)])
    assert torch.equal(grouped, parts)


def test_state_continues_bit_for_bit() -> None:
    data = episodes([20, 30])
    first = ChunkSampler(data, 3, 0.9, 8, [1, 2])
    first.sample(3)
    state = first.state_dict()
    expected = first.sample(2)
    second = ChunkSampler(data, 3, 0.9, 8, [7, 8])
    second.load_state_dict(state)
    for left, right in zip(expected, second.sample(2), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": [1, 2, 3]}, "members=2 but this run has 3"),
        ({"batch_size": 9}, "batch_size=8 but this run has 9"),
        ({"horizon_length": 4}, "num_starts=48 but this run has 47"),
    ],
)
def test_state_of_another_run_is_refused(changes: dict[str, Any], sentence: str) -> None:
    options: dict[str, Any] = {"horizon_length": 3, "discount": 0.9, "batch_size": 8, "seeds": [1, 2]}
    data = episodes([20, 30])
    state = ChunkSampler(data, **options).state_dict()
    with pytest.raises(QamError, match=sentence):
        ChunkSampler(data, **{**options, **changes}).load_state_dict(state)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"horizon_length": 5}, r"^horizon_length=5 exceeds the shortest episode \(3 steps\): lower it or drop short"),
        ({"horizon_length": 0}, "horizon_length=0 is out of range"),
        ({"batch_size": 0}, "batch_size=0 is out of range"),
        ({"discount": 1.1}, "discount=1.1 is out of range"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [-1]}, "seed=-1 is negative"),
        ({"horizon_length": 8, "allow_short_episodes": True}, "7 transitions are fewer than one window"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], sentence: str) -> None:
    options: dict[str, Any] = {"horizon_length": 3, "discount": 0.9, "batch_size": 8, "seeds": [1], **changes}
    with pytest.raises(QamError, match=sentence):
        ChunkSampler(episodes([4, 3]), **options)


def test_starts_out_of_range() -> None:
    sampler = ChunkSampler(episodes([4, 3]), 3, 0.9, 8, [1])
    for starts in ([-1], [5]):
        with pytest.raises(QamError, match=r"expected 0\.\.4"):
            sampler.windows(torch.tensor(starts))


def test_actions_and_states_are_stored_once() -> None:
    """The window view shares the actions' memory: a longer chunk costs none."""
    data = episodes([50, 50], dtype=torch.float32)
    sampler = ChunkSampler(data, 10, 0.9, 8, [1])
    assert sampler._chunks.data_ptr() == data.actions.data_ptr()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_sampling_on_the_gpu_never_waits() -> None:
    data = episodes([50, 50], dtype=torch.float32)
    fields = ("state_rows", "next_rows", "actions", "rewards", "masks", "terminals")
    on_gpu = Transitions(data.states.cuda(), *(getattr(data, name) for name in fields))
    sampler = ChunkSampler(on_gpu, 5, 0.9, 8, [1, 2])
    sampler.sample(2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = sampler.sample(2)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert batch.actions.is_cuda
    host = ChunkSampler(data, 5, 0.9, 8, [1, 2])
    starts = torch.arange(host.num_starts)
    for left, right in zip(host.windows(starts), sampler.windows(starts), strict=True):
        torch.testing.assert_close(left, right.cpu())
