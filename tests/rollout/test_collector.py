"""Acting to learn: the reference protocol step for step, continuation, failures and statistics of the collector."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
from numpy.random.mtrand import get_bit_generator, set_bit_generator

from qam_torch.envs.ogbench import make_environment
from qam_torch.envs.pool import EnvironmentFailure, EnvironmentPool
from qam_torch.rollout.collector import _STREAM, EnvironmentCollector
from qam_torch.types import Experience, QamError

# This module is imported by worker processes too, so torch is imported where it is needed.

Make = Callable[[], gymnasium.Env]
LIMIT = 5


class Toy(gymnasium.Env):
    """Terminates after 2 to 7 steps, by seed; what is seen depends on the seed, all actions and both generators.

    trouble  what happens at the second step of the second episode: "raise", "nan" or "inf"
    reports  whether info has "success"; an episode succeeds if it terminates with an odd last number
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,))
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,))

    def __init__(self, trouble: str = "", reports: bool = True) -> None:
        self.trouble, self.reports, self.episode = trouble, reports, -1

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.episode += 1
        self.t, self.last, self.place = 0, int(self.np_random.integers(2, 8)), np.random.randn()
        return self.seen(), {}

    def seen(self) -> np.ndarray:
        return np.array([self.t, self.place, np.random.randn()])

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        assert action.dtype == np.float32 and (abs(action) <= 1).all()
        self.t += 1
        self.place += float(action @ [0.7, 0.4])
        reward, seen = self.place, self.seen()
        if self.trouble and self.episode == 1 and self.t == 2:
            if self.trouble == "raise":
                raise RuntimeError("the gripper fell off")
            reward, seen[1] = (np.inf, seen[1]) if self.trouble == "inf" else (reward, np.nan)
        end = self.t >= self.last
        return seen, reward, end, False, {"success": end and self.last % 2} if self.reports else {}


def toy(**options: Any) -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(Toy(**options), LIMIT)


def short(name: str, limit: int) -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(make_environment(name, task=1), limit)


class Rule:
    """A policy whose chunk is a function of the member's seed, the observation and, if noisy, how often it was asked.

    Some of its actions lie outside of the box.

    push  what is added to them
    """

    def __init__(self, seeds: Sequence[int], width: int, noisy: bool = False, push: Any = 0.0) -> None:
        self.seeds, self.width, self.noisy, self.push = np.array(seeds), width, noisy, push
        self.times = np.zeros(len(seeds), np.int64)
        self.asked: list[list[bool]] = []

    def __call__(self, observations: np.ndarray, active: np.ndarray) -> np.ndarray:
        self.times = self.times + active
        self.asked.append(active.tolist())
        phases = self.seeds + (self.times if self.noisy else 0)
        return np.array(
            [[self.chunk(row, phase) for row in rows] for rows, phase in zip(observations, phases, strict=True)]
        )

    def chunk(self, observation: np.ndarray, phase: int) -> np.ndarray:
        total = np.cumsum(observation, dtype=np.float64)[-1]
        return 1.2 * np.sin(phase + 10 * total + np.arange(self.width)) + self.push

    def state_dict(self) -> dict[str, Any]:
        return {"times": self.times}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.times = np.array(state_dict["times"])


def collector_of(
    make: Make,
    rule: Rule,
    streams: int = 1,
    h: int = 3,
    workers: int = 0,
    log: Callable[[str], None] = pytest.fail,
    execute_steps: int | None = None,
) -> EnvironmentCollector:
    count = len(rule.seeds) * streams
    pool = partial(EnvironmentPool, make, count, workers)
    return EnvironmentCollector(rule, pool, rule.seeds.tolist(), streams, h, log, execute_steps)


def gather(collector: EnvironmentCollector, steps: int) -> Experience:
    """Some steps on end, (n, P, E, ...)."""
    return Experience(*map(np.concatenate, zip(*(collector.collect() for _ in range(steps)), strict=True)))


def assert_same(one: Experience, other: Experience) -> None:
    for name, a, b in zip(Experience._fields, one, other, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)


def obvious(
    make: Make, rule: Rule, seed: int, stream: int, steps: int, execute_steps: int | None = None
) -> tuple[Experience, np.ndarray]:
    """The reference protocol in one environment, as plainly as can be.

    -> its experience (n, ...), and after each step whether it was terminated, truncated and successful (n, 3)
    """
    environment, queue, episode, over = make(), deque[np.ndarray](), -1, True
    transitions, outcomes = [], []
    for _ in range(steps):
        begins = over
        if begins:
            episode += 1
            start = int(np.random.SeedSequence([seed, _STREAM, stream, episode]).generate_state(1)[0])
            set_bit_generator(generator := np.random.MT19937(start))
            environment.action_space.seed(start)
            observation = environment.reset(seed=start)[0].astype(np.float32)
        if not queue:
            actions = rule.chunk(observation, seed).clip(-1, 1).astype(np.float32)
            queue.extend(actions.reshape(-1, environment.action_space.sample().size)[:execute_steps])
        action = queue.popleft()
        set_bit_generator(generator)
        following, reward, terminated, truncated, info = environment.step(action)
        following = following.astype(np.float32)
        transitions.append((observation, action, reward, np.float32(not terminated), begins, following))
        outcomes.append((terminated, truncated, info.get("success", 0)))
        observation, over = following, terminated or truncated
        if over:
            queue.clear()
    environment.close()
    return Experience(*map(np.array, zip(*transitions, strict=True))), np.array(outcomes, bool)


@pytest.fixture(autouse=True)
def numpy_generator() -> Iterator[None]:
    """The obvious way leaves the last episode's generator behind."""
    kept = get_bit_generator()
    yield
    set_bit_generator(kept)


def of_one(seen: Experience, p: int, e: int) -> Experience:
    return Experience(*(field[:, p, e] for field in seen))


def steps_of(seen: Experience, start: int, stop: int) -> Experience:
    return Experience(*(field[start:stop] for field in seen))


@pytest.mark.parametrize(
    ("seeds", "streams", "h", "width", "workers", "execute_steps"),
    [
        ([3], 1, 1, 2, 0, None),
        ([3], 1, 3, 6, 0, None),
        ([3], 1, 3, 6, 0, 1),
        ([3], 1, 3, 2, 0, None),  # n-step mode: single actions
        ([3, 8, 5], 2, 3, 6, 0, None),
        ([3, 8, 5], 2, 3, 6, 0, 2),
        ([3, 8, 5], 2, 3, 6, 2, None),
    ],
)
def test_every_environment_follows_the_reference_protocol(
    seeds: list[int], streams: int, h: int, width: int, workers: int, execute_steps: int | None
) -> None:
    rule = Rule(seeds, width)
    collector = collector_of(toy, rule, streams, h, workers, execute_steps=execute_steps)
    whole = gather(collector, steps=60)
    collector.close()
    for (p, seed), e in itertools.product(enumerate(seeds), range(streams)):
        alone, outcomes = obvious(toy, rule, seed, e, 60, execute_steps)
        assert_same(of_one(whole, p, e), alone)
        ways = set(map(tuple, outcomes[:, :2].tolist()))
        assert ways == set(itertools.product([False, True], repeat=2)), "episodes end in all ways there are"


def test_pointmaze_follows_the_reference_protocol() -> None:
    make = partial(short, "pointmaze-medium-navigate-v0", 9)
    rule = Rule([2], width=8)
    whole = of_one(gather(collector_of(make, rule, h=4), steps=30), 0, 0)
    assert_same(whole, obvious(make, rule, 2, 0, steps=30)[0])
    assert whole.masks.all() and np.flatnonzero(whole.begins).tolist() == [0, 9, 18, 27]


def test_where_episodes_begin_and_end() -> None:
    """The toy's first number is the time."""
    seen = of_one(gather(collector_of(toy, Rule([3], 6)), steps=60), 0, 0)
    time, following = seen.observations[:-1, 0], seen.next_observations[:-1, 0]
    ends = seen.begins[1:]
    assert np.array_equal(seen.begins, seen.observations[:, 0] == 0)
    assert np.array_equal(following, time + 1), "an episode's last transition keeps its own last observation"
    assert seen.masks[:-1][~ends].all()
    assert not seen.masks[:-1][ends & (following < LIMIT)].any(), "over before the limit: terminated"
    assert set(seen.masks[:-1][following == LIMIT]) == {0, 1}, "at the limit: truncated, or terminated just then"


def test_only_members_without_actions_are_asked() -> None:
    """Members with one environment each are asked where an episode begins, and after every h steps."""
    rule = Rule([3, 8], width=6)
    seen = gather(collector_of(toy, rule), steps=40)
    expected, left = [], np.zeros(2, int)
    for begins in seen.begins[:, :, 0]:
        left[begins] = 0
        expected.append((left == 0).tolist())
        left = np.where(left == 0, 3, left) - 1
    assert rule.asked == [asked for asked in expected if any(asked)]
    assert [True, False] in rule.asked and [False, True] in rule.asked and [False, False] in expected


class NoLog:
    """In place of log and windows, which are tested elsewhere."""

    def flush(self) -> dict:
        return {}

    def restore(self, state: Any) -> Iterable[Experience]:
        return []

    def add(self, experience: Experience) -> None:
        raise AssertionError


def phase_of(collector: EnvironmentCollector) -> Any:
    from qam_torch.data.online_phase import OnlinePhase

    log: Any = NoLog()
    phase = OnlinePhase(
        offline_steps=0, steps_each=1, updates=int, collector=collector, log=log, make_windows=lambda windows: log
    )
    phase.windows = log
    return phase


def save(collector: EnvironmentCollector, path: Path) -> None:
    import torch

    torch.save(phase_of(collector).state_dict(), path)


def load(fresh: EnvironmentCollector, path: Path) -> EnvironmentCollector:
    import torch

    phase_of(fresh).load_state_dict(torch.load(path, weights_only=True))
    return fresh


def continued(collector: EnvironmentCollector, fresh: EnvironmentCollector, path: Path) -> EnvironmentCollector:
    """The fresh one in the other's state, by way of a file."""
    save(collector, path)
    return load(fresh, path)


@pytest.mark.parametrize(("seeds", "streams", "execute_steps"), [([3], 1, None), ([3, 8], 2, None), ([3, 8], 2, 2)])
def test_continues_bit_for_bit_at_every_step(
    seeds: list[int], streams: int, execute_steps: int | None, tmp_path: Path
) -> None:
    def fresh() -> EnvironmentCollector:
        return collector_of(toy, Rule(seeds, 6, noisy=True), streams, execute_steps=execute_steps)

    steps = 20
    expected = gather(whole := fresh(), steps)
    statistics = whole.statistics()
    now = fresh()
    for step in range(steps):
        now = continued(now, fresh(), tmp_path / "state")
        assert_same(now.collect(), steps_of(expected, step, step + 1))
    for name, values in now.statistics().items():
        np.testing.assert_array_equal(values, statistics[name], err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "h", "push"),
    [
        ("pointmaze-medium-navigate-v0", 1, np.zeros(2)),
        ("pointmaze-teleport-navigate-v0", 4, np.zeros(2)),
        ("puzzle-3x3-play-v0", 4, np.array([0, 0, -3, 0, 0])),
    ],
)
def test_real_environments_continue_bit_for_bit(name: str, h: int, push: np.ndarray, tmp_path: Path) -> None:
    """In the midst of a chunk, at an episode's last step and at its first, in environments that were made again."""

    def fresh() -> EnvironmentCollector:
        rule = Rule([4], h * len(push), noisy=True, push=np.tile(push, h))
        return collector_of(partial(short, name, 12), rule, h=h)

    whole, stops, made, buttons = fresh(), (2, 11, 12), [], []
    for start, stop in itertools.pairwise((0, *stops, 15)):
        made.append(gather(whole, stop - start))
        save(whole, tmp_path / str(stop))
        assert whole._pool is not None
        buttons.append(whole._pool.physics()[0].get("buttons"))
    expected = Experience(*map(np.concatenate, zip(*made, strict=True)))
    assert np.flatnonzero(expected.begins).tolist() == [0, 12]
    assert not push.any() or not np.array_equal(*buttons[:2]), "a button is pressed on the way"  # type: ignore[arg-type]
    for stop in stops:
        other = load(fresh(), tmp_path / str(stop))
        assert_same(gather(other, 15 - stop), steps_of(expected, stop, 15))


class Changing(Toy):
    """An environment of which no two are alike.

    way  "seen": a number in its observations is another in each; "hidden": one is that is not seen; "raise": the
         second one made fails at its third step
    """

    made = 0

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.data = SimpleNamespace(qpos=np.zeros(2))
        type(self).made += 1
        self.number = self.made

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        self.last = 100
        if self.way == "seen":
            self.place += self.number
        if self.way == "hidden":
            self.data.qpos[:] = self.number
        return self.seen(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict]:
        if self.way == "raise" and self.number == 2 and self.t == 2:
            raise RuntimeError("no second time")
        return super().step(action)


@pytest.mark.parametrize("way", ["seen", "hidden"])
def test_an_environment_that_cannot_be_put_back_begins_a_new_episode(way: str, tmp_path: Path) -> None:
    def fresh(log: Callable[[str], None]) -> EnvironmentCollector:
        makes: Iterator[Make] = iter([toy, partial(Changing, way), toy])
        return collector_of(lambda: next(makes)(), Rule([3, 4, 5], 6), log=log)

    messages: list[str] = []
    whole = fresh(pytest.fail)
    gather(whole, 4)
    other = continued(whole, fresh(messages.append), tmp_path / "state")
    assert messages == ["1 of 3 environments could not be restored to the saved state: a new episode begins there"]
    expected, seen = gather(whole, 20), gather(other, 20)
    assert seen.begins[0, :, 0].tolist() == [expected.begins[0, 0, 0], True, expected.begins[0, 2, 0]]
    for p in (0, 2):
        assert_same(of_one(seen, p, 0), of_one(expected, p, 0))
    assert not seen.begins[1:, 1].any() and seen.observations[0, 1, 0, 0] == 0 and other._episode[1] == 1


def test_an_environment_that_fails_as_it_is_put_back_is_reported_too(tmp_path: Path) -> None:
    Changing.made = 0
    messages: list[str] = []

    def fresh() -> EnvironmentCollector:
        return collector_of(partial(Changing, "raise"), Rule([3], 6), log=messages.append)

    gather(whole := fresh(), 4)
    other = continued(whole, fresh(), tmp_path / "state")
    assert len(messages) == 1 and "new episodes begin" in messages[0] and "no second time" in messages[0]
    assert gather(other, 4).begins[:, 0, 0].tolist() == [True, False, False, False] and other._episode[0] == 1


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        ("raise", "failed in step .*the gripper fell off"),
        ("nan", "non-finite observation"),
        ("inf", "non-finite reward"),
    ],
)
def test_a_failure_is_reported_and_new_episodes_begin_after_it(trouble: str, words: str, tmp_path: Path) -> None:
    def fresh(first: Make) -> EnvironmentCollector:
        makes: Iterator[Make] = iter([first, toy])
        return collector_of(lambda: next(makes)(), Rule([3, 8], 6, noisy=True), log=messages.append)

    messages: list[str] = []
    broken = fresh(partial(toy, trouble=trouble))
    with pytest.raises(EnvironmentFailure, match=f"environment 0 .*{words}"):
        gather(broken, 20)
    episodes, asked = broken._episode.copy(), broken.act.state_dict()["times"]
    other = continued(broken, fresh(toy), tmp_path / "state")
    again = continued(other, fresh(toy), tmp_path / "state")  # saved before it went on
    assert messages == ["the environments' states were lost: new episodes begin"] * 2
    assert again.statistics()["collection/episodes"].tolist() == episodes.tolist(), "what had ended has not been lost"
    assert np.array_equal(again.act.state_dict()["times"], asked)
    seen = gather(again, 3)
    assert seen.begins[0].all() and (again._episode > episodes).all(), "not the episode again that failed"


def test_a_state_from_before_the_first_step_says_nothing(tmp_path: Path) -> None:
    first = gather(collector_of(toy, Rule([3], 6)), 5)
    other = continued(collector_of(toy, Rule([3], 6)), collector_of(toy, Rule([3], 6)), tmp_path / "state")
    assert_same(gather(other, 5), first)


def test_a_state_does_not_change_with_what_follows() -> None:
    collector = collector_of(toy, Rule([3], 6, noisy=True))
    gather(collector, 4)
    state = collector.state_dict()
    expected = gather(collector, 11)
    other = collector_of(toy, Rule([3], 6, noisy=True))
    other.load_state_dict(state)
    assert_same(gather(other, 11), expected)


@pytest.mark.parametrize("reports", [True, False])
def test_statistics_are_means_over_finished_episodes(reports: bool) -> None:
    make, seeds, steps = partial(toy, reports=reports), [3, 8], 40
    collector = collector_of(make, rule := Rule(seeds, 6), streams=2)
    collector.collect()
    begun = collector.statistics()
    assert begun["collection/episodes"].tolist() == [0, 0]
    assert all(np.isnan(begun[f"collection/{name}"]).all() for name in ("return", "length", "success"))
    gather(collector, steps - 1)
    found = collector.statistics()
    for p, seed in enumerate(seeds):
        episodes: list[tuple[float, int, bool]] = []
        for e in range(2):
            seen, outcomes = obvious(make, rule, seed, e, steps)
            ends = np.flatnonzero(outcomes[:, :2].any(axis=1)) + 1
            starts = [0, *ends[:-1]]
            episodes += [(sum(seen.rewards[a:b]), b - a, outcomes[b - 1, 2]) for a, b in zip(starts, ends, strict=True)]
        means = np.mean(episodes, axis=0)
        assert found["collection/episodes"][p] == len(episodes) > 10
        np.testing.assert_allclose(
            [found["collection/return"][p], found["collection/length"][p]], means[:2], rtol=1e-12
        )
        assert 0 < means[2] < 1 if reports else means[2] == 0
        np.testing.assert_array_equal(found["collection/success"][p], means[2] if reports else np.nan)
    assert collector.statistics()["collection/episodes"].tolist() == [0, 0], "reported once"


def test_the_callers_numpy_generator_is_untouched() -> None:
    np.random.seed(3)
    expected = [np.random.randn() for _ in range(5)]
    np.random.seed(3)
    got = [np.random.randn()]  # numpy now holds the second Gaussian of a pair in reserve
    collector = collector_of(toy, Rule([3], 6))
    for _ in range(4):
        gather(collector, 3)
        other = collector_of(toy, Rule([3], 6))
        other.load_state_dict(collector.state_dict())
        got.append(np.random.randn())
    assert got == expected


def test_sizes_that_do_not_fit_are_reported() -> None:
    with pytest.raises(QamError, match=r"shape \(1, 1, 5\)"):
        collector_of(toy, Rule([3], 5)).collect()
    with pytest.raises(QamError, match="4 environments.*2 members with 1 each"):
        EnvironmentCollector(Rule([3, 4], 6), partial(EnvironmentPool, toy, 4), [3, 4], 1, 3).collect()
