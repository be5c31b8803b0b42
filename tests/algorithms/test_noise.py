"""Named draws: independent streams, member by member, and their continuation."""

from __future__ import annotations

import torch

from qam_torch.algorithms import NamedNoise, member_generators
from qam_torch.types import Draw

DRAWS = {"a": Draw((3, 2)), "t": Draw((3, 1), uniform=True), "b": Draw((4, 3, 2))}


def test_shapes_and_distributions() -> None:
    noise = NamedNoise({"a": Draw((200, 5)), "t": Draw((200, 1), uniform=True)}, (0, 1), "s").sample(50)
    assert noise["a"].shape == (50, 2, 200, 5) and noise["t"].shape == (50, 2, 200, 1)
    assert abs(noise["a"].mean()) < 0.01 and abs(noise["a"].std() - 1) < 0.01
    assert noise["t"].min() >= 0 and noise["t"].max() < 1 and abs(noise["t"].mean() - 0.5) < 0.01


def test_a_member_draws_in_a_population_what_it_draws_alone() -> None:
    together = NamedNoise(DRAWS, (7, 8, 9), "s").sample(4)
    alone = NamedNoise(DRAWS, (8,), "s").sample(4)
    assert all(torch.equal(together[name][:, 1], alone[name][:, 0]) for name in DRAWS)


def test_streams_and_seeds_do_not_repeat_one_another() -> None:
    first = {
        (seed, stream): torch.randn(4, generator=member_generators([seed], stream)[0])
        for seed in (0, 1, 10001)
        for stream in ("update", "init/critic", "init/f_beta")
    }
    values = list(first.values())
    assert all(not torch.equal(a, b) for i, a in enumerate(values) for b in values[:i])


def test_draws_of_another_stream_do_not_shift_the_others() -> None:
    more = {"first": Draw((2,), stream="edit"), **DRAWS, "last": Draw((5, 1), uniform=True, stream="edit")}
    alone, among = NamedNoise(DRAWS, (7, 8), "s").sample(4), NamedNoise(more, (7, 8), "s").sample(4)
    assert all(torch.equal(alone[name], among[name]) for name in DRAWS)
    assert list(among) == list(more) and not torch.equal(among["last"][:, :, :3], among["t"])


def test_continues_bit_for_bit_from_a_saved_state() -> None:
    draws = {**DRAWS, "e": Draw((3,), stream="edit")}
    source = NamedNoise(draws, (1, 2), "s")
    source.sample(3)
    state = source.state_dict()
    expected = source.sample(2)
    other = NamedNoise(draws, (1, 2), "s")
    other.load_state_dict(state)
    again = other.sample(2)
    assert all(torch.equal(expected[name], again[name]) for name in draws)


def test_integers_are_uniform_from_one_to_the_last() -> None:
    noise = NamedNoise({"k": Draw((500, 1), integers=5), "t": Draw((2,), uniform=True)}, (0, 1), "s").sample(40)
    counts = torch.bincount(noise["k"].flatten().long())
    assert counts[0] == 0 and len(counts) == 6
    assert (counts[1:] / counts.sum() - 0.2).abs().max() < 0.01
    assert noise["k"].dtype == torch.float32 and torch.equal(noise["k"], noise["k"].round())


def test_the_largest_uniform_number_below_one_is_not_rounded_up_to_another_integer() -> None:
    largest = torch.tensor(1 - 2**-24)
    assert all((largest * n).floor() + 1 <= n for n in range(1, 2000))


def test_noise_does_not_depend_on_how_updates_are_grouped() -> None:
    """33 and 9 numbers per update: a CPU draws normal numbers in blocks of 16, and fewer than 16 in another way."""
    draws = {"a": Draw((11, 3)), "t": Draw((5, 1), uniform=True), "e": Draw((3, 3), stream="edit")}
    at_once = NamedNoise(draws, (1, 2), "s").sample(6)
    source = NamedNoise(draws, (1, 2), "s")
    parts = [source.sample(count) for count in (1, 3, 2)]
    for name, whole in at_once.items():
        assert torch.equal(whole, torch.cat([part[name] for part in parts]))


def test_normal_numbers_are_drawn_before_uniform_ones_in_every_update() -> None:
    drawn = NamedNoise({"t": Draw((3, 1), uniform=True), "a": Draw((7, 5))}, (1,), "s").sample(3)
    (generator,) = member_generators([1], "s")
    for u in range(3):
        assert torch.equal(drawn["a"][u].flatten(), torch.randn(35, generator=generator))
        assert torch.equal(drawn["t"][u].flatten(), torch.rand(3, generator=generator))
