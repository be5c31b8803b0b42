"""Which episode runs where."""

from __future__ import annotations

import numpy as np
import pytest

from qam_torch.rollout.slots import Slots


def test_all_episodes_at_once_where_there_is_an_environment_for_each() -> None:
    slots = Slots(2, 3, 7)
    assert slots.begin().tolist() == [[0, 1, 2], [0, 1, 2]]
    slots.end(np.array([[True] * 3, [True, False, True]]))
    assert (slots.begin() == -1).all(), "none is left"
    assert slots.episode.tolist() == [[-1, -1, -1], [-1, 1, -1]]


def test_the_next_begin_once_a_quarter_of_the_slots_is_free() -> None:
    slots = Slots(2, 9, 8)
    slots.begin()
    one = np.zeros((2, 4), bool)
    one[0, 1] = True
    slots.end(one)
    assert (slots.begin() == -1).all()
    slots.end(one[::-1])
    assert slots.begin().tolist() == [[-1, 4, -1, -1], [-1, 4, -1, -1]]


@pytest.mark.parametrize(("members", "episodes", "environments"), [(1, 7, 3), (3, 5, 8), (2, 4, 2)])
def test_every_episode_runs_once(members: int, episodes: int, environments: int) -> None:
    slots, rng = Slots(members, episodes, environments), np.random.default_rng(0)
    runs = np.zeros((members, episodes), int)
    for _ in range(1000):
        for (p, _), e in np.ndenumerate(slots.begin()):
            runs[p, e] += e >= 0
        if (slots.episode < 0).all():
            break
        slots.end(rng.random(slots.episode.shape) < 0.3)
    assert (runs == 1).all()
