"""Random draws: uniform, a member's own, continued bit for bit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch

from qam_torch.data.episode_windows import EpisodeWindows
from qam_torch.data.sampler import ChunkSampler
from qam_torch.data.transitions import Transitions
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import QamError
from tests.helpers.random_episodes import episodes


def sampler_of(
    data: Transitions, horizon_length: int, discount: float, batch_size: int, seeds: list[int]
) -> ChunkSampler:
    return ChunkSampler(ChunkWindows(data, horizon_length, discount), batch_size, seeds)


def test_sample_is_the_windows_of_its_starts() -> None:
    """The first state component numbers the raw rows, so the drawn starts can be read off the batch."""
    data = episodes([6, 9, 5])
    sampler = sampler_of(data, 3, 0.9, 16, [5, 6])
    batch = sampler.sample(4)
    assert batch.observations.shape == (4, 2, 16, 2)
    assert batch.actions.shape == (4, 2, 16, 6)
    assert batch.rewards.shape == batch.masks.shape == batch.valid.shape == (4, 2, 16)
    start_of_row = {int(row): start for start, row in enumerate(data.state_rows)}
    starts = torch.tensor([start_of_row[int(row)] for row in batch.observations[..., 0].flatten()]).reshape(4, 2, 16)
    for drawn, again in zip(batch, ChunkWindows(data, 3, 0.9)(starts), strict=True):
        assert torch.equal(drawn, again)


def test_every_start_is_equally_likely() -> None:
    data = episodes([3, 4, 3])
    sampler = sampler_of(data, 2, 0.9, 1000, [1])
    rows = sampler.sample(20).observations[..., 0].flatten()
    counts = torch.stack([(rows == row).sum() for row in data.state_rows]).double()
    assert counts[-1] == 0  # N - h + 1 = 9 starts: the last transition starts no window
    expected = 20_000 / 9
    chi_square = float(((counts[:-1] - expected) ** 2 / expected).sum())
    assert chi_square < 26.1  # 0.999 quantile with 8 degrees of freedom


def test_member_draws_the_same_alone_and_in_a_population() -> None:
    data = episodes([20, 30])
    together = sampler_of(data, 3, 0.9, 8, [11, 22, 33]).sample(2)
    alone = sampler_of(data, 3, 0.9, 8, [22]).sample(2)
    assert torch.equal(together.observations[:, 1], alone.observations[:, 0])
    assert torch.equal(together.actions[:, 1], alone.actions[:, 0])
    assert not torch.equal(together.observations[:, 0], together.observations[:, 1])


def test_stream_does_not_depend_on_grouping() -> None:
    data = episodes([20, 30])
    grouped = sampler_of(data, 3, 0.9, 8, [1, 2]).sample(6).observations
    single = sampler_of(data, 3, 0.9, 8, [1, 2])
    parts = torch.cat([single.sample(u).observations for u in (1, 2, 3)])
    assert torch.equal(grouped, parts)


def test_nor_where_a_generator_advances_by_calls_as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """There, one call for several updates draws other numbers than a call for each."""
    calls = {"randint": 0, "rand": 0}

    def of_a_gpu(name: str) -> Callable[..., torch.Tensor]:
        draw = getattr(torch, name)

        def drawn(*sizes: Any, generator: torch.Generator, **options: Any) -> torch.Tensor:
            calls[name] += 1
            return draw(*sizes, generator=torch.Generator().manual_seed(calls[name]), **options)

        return drawn

    for name in calls:
        monkeypatch.setattr(torch, name, of_a_gpu(name))
    data = episodes([20, 30])
    for windows in (ChunkWindows(data, 3, 0.9), EpisodeWindows(data, 3, 0.9)):
        at_once, single = (ChunkSampler(windows, 8, [1]) for _ in range(2))
        calls.update(randint=0, rand=0)
        whole = at_once.sample(6).observations
        calls.update(randint=0, rand=0)
        assert torch.equal(whole, torch.cat([single.sample(u).observations for u in (1, 2, 3)]))


def test_exchanged_windows_are_drawn_from_with_the_same_generators() -> None:
    first, second = episodes([20, 30], seed=1), episodes([40], seed=2)
    sampler = sampler_of(first, 3, 0.9, 8, [1, 2])
    sampler.sample(4)
    sampler.windows = ChunkWindows(second, 3, 0.9)
    exchanged = sampler.sample(2)
    alone = sampler_of(second, 3, 0.9, 8, [1, 2])
    alone.sample(4)
    for left, right in zip(exchanged, alone.sample(2), strict=True):
        assert torch.equal(left, right)


def test_state_continues_bit_for_bit() -> None:
    data = episodes([20, 30])
    first = sampler_of(data, 3, 0.9, 8, [1, 2])
    first.sample(3)
    state = first.state_dict()
    expected = first.sample(2)
    second = sampler_of(data, 3, 0.9, 8, [7, 8])
    second.load_state_dict(state)
    for left, right in zip(expected, second.sample(2), strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seeds": [1, 2, 3]}, "members=2 but this run has 3"),
        ({"batch_size": 9}, "batch_size=8 but this run has 9"),
        ({"horizon_length": 4}, "horizon_length=3 but this run has 4"),
    ],
)
def test_state_of_another_run_is_refused(changes: dict[str, Any], sentence: str) -> None:
    options: dict[str, Any] = {"horizon_length": 3, "discount": 0.9, "batch_size": 8, "seeds": [1, 2]}
    data = episodes([20, 30])
    state = sampler_of(data, **options).state_dict()
    with pytest.raises(QamError, match=sentence):
        sampler_of(data, **{**options, **changes}).load_state_dict(state)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch_size": 0}, "batch_size=0 is out of range"),
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": [-1]}, "seed=-1 is negative"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], sentence: str) -> None:
    options: dict[str, Any] = {"horizon_length": 3, "discount": 0.9, "batch_size": 8, "seeds": [1], **changes}
    with pytest.raises(QamError, match=sentence):
        sampler_of(episodes([4, 3]), **options)


def test_a_batch_is_gathered_and_not_looped_over() -> None:
    """A hundredth of the time that a loop over the rows of one column takes; a tenth is asked for."""
    data = episodes([500] * 20, dtype=torch.float32)
    sampler = sampler_of(data, 5, 0.99, 256, [1])

    def loop() -> None:
        for start in range(256):
            sum(0.99**k * float(data.rewards[start + k]) for k in range(5))

    def fastest(draw: Callable[[], Any]) -> float:
        seconds = []
        for _ in range(10):
            begin = time.perf_counter()
            draw()
            seconds.append(time.perf_counter() - begin)
        return min(seconds)

    assert fastest(sampler.sample) < fastest(loop) / 10


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_sampling_on_the_gpu_never_waits() -> None:
    data = episodes([50, 50], dtype=torch.float32)
    fields = ("state_rows", "next_rows", "actions", "rewards", "masks", "terminals")
    on_gpu = Transitions(data.states.cuda(), *(getattr(data, name) for name in fields))
    sampler = sampler_of(on_gpu, 5, 0.9, 8, [1, 2])
    sampler.sample(2)
    torch.cuda.set_sync_debug_mode("error")
    try:
        batch = sampler.sample(2)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert batch.actions.is_cuda
    host, device = ChunkWindows(data, 5, 0.9), ChunkWindows(on_gpu, 5, 0.9)
    starts = torch.arange(host.num_starts)
    for left, right in zip(host(starts), device(starts), strict=True):
        torch.testing.assert_close(left, right.cpu())
