"""Acting while collecting: the recorded policy, and who draws which noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from qam_torch.algorithms import DAC, QAM, Algorithm, DivergedError, NamedNoise
from qam_torch.algorithms.core.acting import CollectingActor, PopulationActor
from tests.helpers.algorithms import EVERY_METHOD, OBSERVATION_DIM, kind_of, make, make_batch, make_noise

E = 3
CASES: dict[str, tuple[type[Algorithm], dict[str, Any]]] = {
    **{name: (kind_of(name), {}) for name in EVERY_METHOD},
    "best of 4": (QAM, {"best_of_n": 4}),
    "n-step": (QAM, {"action_chunking": False}),
}
each_method = pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES)
BOTH = np.array([True, True])


def observations(members: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(members, E, OBSERVATION_DIM)).astype(np.float32)


def generators(actor: CollectingActor) -> list[list[list[int]]]:
    """Each member's, of all its streams."""
    states, members = [state.tolist() for state in actor.state_dict()["generators"]], actor.algorithm.members
    return [states[p::members] for p in range(members)]


def update(algorithm: Algorithm, seed: int) -> None:
    noise = make_noise(algorithm)
    algorithm.recorded = False  # which takes a second and pays only in longer runs
    algorithm.update(make_batch(algorithm.members, seed), {name: draw[0] for name, draw in noise.items()})


@pytest.mark.slow
@each_method
def test_chunks_are_bit_for_bit_the_policys_whatever_the_updates(
    kind: type[Algorithm], options: dict[str, Any]
) -> None:
    algorithm = make(kind, (5, 1), **options)
    actor = CollectingActor(algorithm, E)
    noise = NamedNoise(actor.policy.draws(E), algorithm.seeds, "collect", dtype=torch.float64)
    seen = []
    for step in range(4):
        drawn = {name: draw[0] for name, draw in noise.sample(1).items()}
        states = observations(2, seed=step // 2)  # the same twice
        with torch.no_grad():
            expected = actor.policy(torch.tensor(states, dtype=torch.float64), drawn)
        chunks = actor(states, BOTH)
        assert chunks.shape == (2, E, algorithm.chunk_dim)
        assert np.array_equal(chunks, expected.numpy())
        seen.append(chunks)
        update(algorithm, step)
    assert all(not np.array_equal(one, other) for one, other in zip(seen, seen[1:], strict=False))


@pytest.mark.parametrize(("kind", "options"), [*CASES.values(), (DAC, {"best_of_n": 2})], ids=[*CASES, "diffusion"])
def test_an_episode_gets_the_noise_that_it_gets_among_all_whenever_it_begins(
    kind: type[Algorithm], options: dict[str, Any]
) -> None:
    """Two rows, in which the E = 3 episodes of two members begin at different calls."""
    algorithm = make(kind, (5, 1), **options)
    together, turns = PopulationActor(algorithm), PopulationActor(algorithm, episodes=E)
    states = [observations(2, seed=step) for step in range(4)]
    expected = [together(one) for one in states]
    begun = {(p, e): None for p in range(2) for e in range(E)}
    running, calls = np.full((2, 2), -1), np.zeros((2, 2), int)
    for begins in ([[0, 1], [1, 0]], [[-1, -1], [-1, -1]], [[2, -1], [-1, 2]], [[-1, -1], [-1, -1]]):
        new = np.array(begins) >= 0
        running[new], calls[new] = np.array(begins)[new], 0
        if new.any():
            turns.begin(np.array(begins))
        seen = [[states[calls[p, s]][p, running[p, s]] for s in range(2)] for p in range(2)]
        chunks = turns(np.array(seen))
        for p, s in np.ndindex(2, 2):
            begun.pop((p, int(running[p, s])), None)
            np.testing.assert_allclose(
                chunks[p, s], expected[calls[p, s]][p, running[p, s]], rtol=1e-12, atol=1e-14
            )  # fmt: skip
        calls += 1
    assert not begun


def test_an_update_shows_in_the_next_chunk() -> None:
    """With the same noise, so that nothing else can make the difference."""
    algorithm = make(QAM, (5, 1))
    actor = CollectingActor(algorithm, E)
    start = actor.state_dict()
    before = actor(observations(2), BOTH)
    actor.load_state_dict(start)
    assert np.array_equal(actor(observations(2), BOTH), before)
    update(algorithm, 0)
    actor.load_state_dict(start)
    assert not np.array_equal(actor(observations(2), BOTH), before)


@pytest.mark.slow
@each_method
def test_a_member_draws_what_it_draws_alone_and_only_when_it_is_asked(
    kind: type[Algorithm], options: dict[str, Any]
) -> None:
    together = CollectingActor(make(kind, (5, 1), **options), E)
    alone = CollectingActor(make(kind, (1,), **options), E)
    for step, asked in enumerate([(True, True), (True, False), (False, True), (True, False), (True, True)]):
        before = generators(together)
        chunks = together(observations(2, step), np.array(asked))
        after = generators(together)
        assert [one != other for one, other in zip(before, after, strict=True)] == list(asked)
        if asked[1]:
            own = alone(observations(2, step)[1:], np.array([True]))
            assert generators(alone)[0] == after[1]
            np.testing.assert_allclose(chunks[1], own[0], rtol=1e-9, atol=1e-11)


def test_the_state_continues_the_noise() -> None:
    algorithm = make(QAM, (5, 1), best_of_n=2)
    actor, other = CollectingActor(algorithm, E), CollectingActor(algorithm, E)
    actor(observations(2), BOTH)
    actor(observations(2), np.array([False, True]))
    state = actor.state_dict()
    expected = [actor(observations(2, step), BOTH) for step in range(3)]
    other.load_state_dict(state)
    assert np.array_equal([other(observations(2, step), BOTH) for step in range(3)], expected)


def test_a_state_may_come_before_the_parameters_are_where_they_act() -> None:
    """As Lightning restores a run on a GPU: data module first, then the networks go to the device.

    Here it is the precision that they change.
    """
    algorithm = make(QAM, (5, 1))
    actor = CollectingActor(algorithm, E)
    actor(observations(2), BOTH)
    state = actor.state_dict()
    expected = actor(observations(2), BOTH)
    later = make(QAM, (5, 1)).float()
    other = CollectingActor(later, E)
    other.load_state_dict(state)
    later.double().load_state_dict(algorithm.state_dict())
    assert np.array_equal(other(observations(2), BOTH), expected)


def test_a_diverged_member_raises_when_it_acts() -> None:
    algorithm = make(QAM, (5, 1))
    actor = CollectingActor(algorithm, E)
    with torch.no_grad():
        for parameter in algorithm.networks.parameters():
            parameter[1] = torch.nan
    assert np.isfinite(actor(observations(2), np.array([True, False]))[0]).all()
    with pytest.raises(DivergedError, match="an action of seed=1 is not finite"):
        actor(observations(2), BOTH)
