"""Windows by episode: the rule's worked example, a slow reference, and how starts are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qam_torch.data.datamodule import TrainingData
from qam_torch.data.episode_windows import EpisodeWindows
from qam_torch.data.sampler import ChunkSampler
from qam_torch.data.shards import Shards
from qam_torch.data.transitions import Transitions
from qam_torch.data.window_rules import RULES
from qam_torch.data.windows import ChunkWindows
from qam_torch.types import WINDOW_RULES, QamError
from tests.helpers.random_episodes import episodes


def example() -> Transitions:
    """Six transitions with a success at 1 that is lost at 2, and one of the next episode."""
    states = np.array([0.0, 1, 2, 3, 4, 5, 100, 101])[:, None]
    return Transitions.from_arrays(
        observations=states,
        next_observations=states + 1,
        actions=states / 1000,
        rewards=np.array([-1.0, 0, -1, -1, -1, -1, -1, -1]),
        masks=np.array([1.0, 0, 1, 1, 1, 1, 1, 1]),
        terminals=np.array([0, 0, 0, 0, 0, 1, 0, 1]),
        dtype=torch.float64,
    )


def test_the_example_of_the_rule() -> None:
    starts = torch.arange(5)
    windows = EpisodeWindows(example(), 3, 0.9)
    batch = windows(starts)
    assert batch.rewards.tolist() == pytest.approx([-1.81, -1.71, -2.71, -2.71, -1.90])
    assert batch.masks.tolist() == [1, 1, 1, 1, 1]
    assert batch.next_observations.flatten().tolist() == [3, 4, 5, 5, 5]
    assert batch.valid.tolist() == [[1, 1, 1]] * 4 + [[1, 1, 0]]
    places = (1000 * batch.actions).round().long().tolist()
    assert places == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 5]]
    other = ChunkWindows(example(), 3, 0.9)(starts)
    assert torch.equal(other.rewards, batch.rewards) and torch.equal(other.valid, batch.valid[:, -1])
    assert other.masks.tolist() == [0, 0, 1, 1, 1]
    assert other.next_observations.flatten().tolist() == [3, 4, 5, 6, 6]


def test_with_one_step_the_rules_agree() -> None:
    data = episodes([4, 1, 6])
    windows, other = EpisodeWindows(data, 1, 0.9), ChunkWindows(data, 1, 0.9)
    batch, expected = windows(windows.drawn_starts), other(windows.drawn_starts)
    assert torch.equal(batch.valid[..., 0], expected.valid)
    for name in ("observations", "actions", "rewards", "masks", "next_observations"):
        assert torch.equal(getattr(batch, name), getattr(expected, name)), name


def slow_window(data: Transitions, start: int, horizon: int, discount: float) -> dict[str, Any]:
    """One window, from the h + 1 rows that the rule draws."""
    rows = [start]
    for _ in range(horizon):
        at_end = bool(data.terminals[rows[-1]]) or rows[-1] + 1 == data.num_transitions
        rows.append(rows[-1] if at_end else rows[-1] + 1)
    inside = [True, *(rows[j] != rows[j - 1] for j in range(1, horizon))]
    last = rows[sum(inside) - 1]
    return {
        "observations": data.states[data.state_rows[start]].tolist(),
        "actions": data.actions[rows[:horizon]].flatten().tolist(),
        "rewards": sum(discount**j * float(data.rewards[rows[j]]) for j in range(horizon) if inside[j]),
        "masks": float(data.masks[last]),
        "valid": [float(one) for one in inside],
        "next_observations": data.states[data.state_rows[rows[horizon]]].tolist(),
    }


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=6).filter(lambda lengths: max(lengths) > 1),
    horizon=st.integers(1, 7),
    seed=st.integers(0, 1000),
    finished=st.booleans(),
)
def test_windows_equal_the_slow_reference(lengths: list[int], horizon: int, seed: int, finished: bool) -> None:
    data = episodes(lengths, seed)
    data.terminals[-1] = finished
    horizon = min(horizon, data.num_transitions)
    windows = EpisodeWindows(data, horizon, 0.9)
    starts = windows.drawn_starts
    assert starts.tolist() == [i for i in range(data.num_transitions) if i != int(data.episode_ends[i])]
    batch, steps = windows(starts), windows.steps(starts)
    for row, start in enumerate(starts.tolist()):
        for name, value in slow_window(data, start, horizon, 0.9).items():
            torch.testing.assert_close(getattr(batch, name)[row], torch.tensor(value, dtype=torch.float64), msg=name)
    for name in ("rewards", "next_observations"):
        torch.testing.assert_close(steps[name][:, -1], getattr(batch, name))
    assert torch.equal(steps["valid"], batch.valid) and torch.equal(steps["actions"].flatten(1), batch.actions)


def test_members_get_rewards_of_their_own_discounts() -> None:
    data = episodes([4, 6, 3])
    starts = torch.randint(12, (5, 2, 8), generator=torch.Generator().manual_seed(0))
    batch = EpisodeWindows(data, 3, [0.5, 0.9])(starts)
    for p, discount in enumerate((0.5, 0.9)):
        alone = EpisodeWindows(data, 3, discount)(starts[:, p : p + 1])
        for field, own in zip(batch, alone, strict=True):
            assert torch.equal(field[:, p : p + 1], own)


def drawn(lengths: list[int], rows: int, updates: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Starts (U, B), and the episode of each."""
    windows = EpisodeWindows(episodes(lengths), 2, 0.9)
    starts = windows.draw(updates, rows, torch.Generator().manual_seed(1))
    bounds = torch.tensor(lengths).cumsum(0)
    return starts, torch.bucketize(starts, bounds, right=True)


@pytest.mark.parametrize(("rows", "distinct"), [(3, True), (4, False), (9, False)])
def test_a_batch_has_at_most_one_window_of_an_episode_while_there_are_more(rows: int, distinct: bool) -> None:
    _, chosen = drawn([3, 9, 1, 4, 2], rows, 500)
    repeated = [len(set(row)) < len(row) for row in chosen.tolist()]
    assert not any(repeated) if distinct else any(repeated)


@pytest.mark.parametrize("rows", [2, 8])
def test_episodes_are_equally_likely_and_starts_within_one(rows: int) -> None:
    """The chi-square limits are 0.999 quantiles."""
    lengths, updates = [3, 9, 1, 4], 4000
    starts, chosen = drawn(lengths, rows, updates)
    counts = torch.bincount(chosen.flatten(), minlength=4).double()
    assert counts[2] == 0, "an episode of one transition is never drawn"
    expected = updates * rows / 3
    assert float(((counts[[0, 1, 3]] - expected) ** 2 / expected).sum()) < 13.9
    of_second = torch.bincount(starts[chosen == 1], minlength=17)[3:12].double()
    assert of_second[8] == 0, "nor an episode's last transition"
    expected = float(of_second.sum()) / 8
    assert float(((of_second[:8] - expected) ** 2 / expected).sum()) < 24.4


@pytest.mark.parametrize("rows", [3, 8])
def test_a_member_draws_the_same_in_any_population_and_grouping(rows: int) -> None:
    windows = EpisodeWindows(episodes([5, 6, 7, 8, 9]), 3, 0.9)
    together = ChunkSampler(windows, rows, [11, 22]).sample(6)
    alone = ChunkSampler(windows, rows, [22])
    parts = [alone.sample(u).observations for u in (1, 2, 3)]
    assert torch.equal(together.observations[:, 1], torch.cat(parts)[:, 0])


def test_without_an_episode_of_two_there_is_nothing_to_draw() -> None:
    with pytest.raises(QamError, match=r"^every episode has a single transition, but algo\.windows=rql needs two"):
        EpisodeWindows(episodes([1, 1]), 1, 0.9).check_usable()


@pytest.mark.parametrize(("name", "dims"), [("qam", 3), ("rql", 4)])
def test_the_data_module_takes_the_rule_that_a_method_declares(name: str, dims: int, tmp_path: Path) -> None:
    assert tuple(RULES) == WINDOW_RULES
    files = [tmp_path / "0.npz", tmp_path / "1.npz"]
    for file in files:
        file.touch()
    for source in (episodes([5, 6]), Shards(files, lambda path: episodes([5, 6 + int(path.stem)]), shard_every=2)):
        module = TrainingData(
            transitions=source,
            horizon_length=2,
            discount=0.9,
            batch_size=4,
            seeds=(1,),
            plan=lambda done: 3,
            num_steps=1,
            window_rule=name,
        )
        batch = module.draw(3)  # of two files, where there are several
        assert isinstance(module.sampler.windows, RULES[name].dataset)
        assert batch.valid.shape == (3, 1, 4, 2)[:dims] and batch.actions.shape == (3, 1, 4, 4)
        module.close()
